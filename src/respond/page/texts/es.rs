//! Spanish.

use super::Texts;
use crate::config::Language;

pub(super) const TEXTS: Texts = Texts {
    language: Language::Spanish,

    sign_in: "Iniciar sesión",
    sign_in_again: "Iniciar sesión de nuevo",
    sign_out: "Cerrar sesión",
    open_moodle: "Abrir Moodle",
    try_again: "Intentar de nuevo",
    to_start: "A la página de inicio",
    to_support: "Contactar con soporte",
    code: "Código para el soporte:",

    signed_in_title: "Sesión iniciada",
    signed_in: "Ha iniciado sesión como {user} mediante {sign_in}, por {hours} h {minutes} min como máximo.",
    not_signed_in_title: "Sesión no iniciada",
    not_signed_in: "No ha iniciado sesión aquí.",

    please_sign_in_title: "Inicie sesión",
    please_sign_in: "Solo pueden ver esta página las personas que han iniciado sesión.",
    in_a_tab: "El inicio de sesión abre una pestaña nueva. Después vuelva aquí y recargue esta página.",
    which_sign_in: "¿Dónde inicia sesión?",
    arrived_title: "Ha iniciado sesión",
    open_the_file: "Abrir el archivo",

    sign_out_title: "¿Cerrar sesión?",
    you_are: "Ha iniciado sesión como {user}.",
    you_are_by_a_link: "Está aquí por un enlace de {source}.",
    only_here: "Si solo cierra sesión aquí, su sesión en {server} sigue abierta: la próxima persona que use este navegador entrará con \
                su nombre sin contraseña.",
    moodle_ends_too: "En ambos casos se cierra también su sesión de Moodle en este navegador.",
    sign_out_everywhere: "Cerrar sesión en todas partes",
    sign_out_here: "Cerrar sesión aquí",
    signed_out_title: "Sesión cerrada",
    signed_out_here: "Ha cerrado sesión aquí.",
    moodle_has_ended: "También se ha cerrado su sesión de Moodle en este navegador.",
    still_at_server: "Su sesión en {server} sigue abierta: la próxima persona que use este navegador entrará con su nombre sin \
                      contraseña. Si otras personas usan este ordenador, cierre sesión allí o cierre el navegador.",
    no_way_at_server: "En el servidor de inicio de sesión no se puede cerrar la sesión, o no responde: la próxima persona que use este \
                       navegador quizá entre con su nombre sin contraseña. Cierre el navegador.",
    not_yet_at_server: "Todavía no ha cerrado sesión en el servidor de inicio de sesión.",
    sign_out_there: "Cerrar sesión allí también",

    at_moodle_title: "Inicie sesión en Moodle",
    at_moodle_again: "Ya ha iniciado sesión en Moodle. Para la página que quería, Moodle le pide que la inicie una vez más.",
    at_moodle_button: "Iniciar sesión en Moodle una vez más",
    other_at_moodle: "Otra persona ha iniciado sesión en Moodle en este navegador, y no se hace nada en su nombre. Inicie sesión allí \
                      como usted.",
    other_at_server: "Otra persona ha iniciado sesión en el servidor de inicio de sesión en este navegador, o Moodle le conoce con otro \
                      nombre, y no se hace nada en su nombre. Cierre sesión allí e iníciela aquí de nuevo.",
    server_asks: "El servidor de inicio de sesión quiere preguntarle algo antes de abrir su sesión en Moodle, o su sesión allí ha \
                  terminado. Cierre sesión aquí e iníciela de nuevo; si eso no ayuda, entre una vez en Moodle.",

    from_course_title: "Ábralo desde su curso",
    from_course: "Esta página solo se abre con un enlace de su curso. Vuelva a su curso y abra el vídeo de nuevo.",
    link_over: "El enlace que le ha traído aquí ya no es válido. Vuelva a su curso y abra el vídeo de nuevo.",
    not_yet_title: "Todavía no está abierto",
    not_yet: "El enlace que le ha traído aquí todavía no es válido. Espere un momento y ábralo de nuevo desde su curso.",
    bad_link_title: "Este enlace no se acepta",
    bad_link: "Vuelva a su curso y abra el vídeo de nuevo. Si vuelve a fallar, indique al soporte el código de abajo.",
    no_access_title: "No tiene acceso a esto",
    no_access: "Si debería tener acceso, pregunte a los responsables de su curso.",
    withdrawn: "Se le ha retirado el acceso. Si debería tenerlo, pregunte a los responsables de su curso.",
    nothing_here_title: "Aquí no hay nada",
    nothing_here: "Compruebe la dirección, o abra la página desde su curso.",
    moodle_first_title: "Moodle quiere verle primero",
    moodle_unknown: "Moodle todavía no sabe quién es usted. Inicie sesión una vez y abra esta página de nuevo.",
    moodle_policy: "Moodle tiene una política que todavía no ha aceptado. Abra Moodle, acéptela y abra esta página de nuevo.",
    moodle_profile: "Falta algo en su perfil de Moodle. Abra Moodle, complételo y abra esta página de nuevo.",
    moodle_password: "Moodle le pide que elija una contraseña nueva. Abra Moodle, cámbiela y abra esta página de nuevo.",
    moodle_visit: "Abra Moodle una vez, haga lo que pide y abra esta página de nuevo.",
    moodle_closed_title: "Moodle no le deja entrar de esta manera",
    moodle_mark: "Su cuenta de Moodle está marcada para una contraseña nueva, pero no tiene ninguna que pueda cambiar. Pida al soporte que \
                  quite la marca.",
    moodle_factor: "Moodle pide un segundo factor, que solo se puede dar en Moodle. Abra Moodle y continúe allí, o pregunte al soporte.",
    maintenance_title: "Moodle está en mantenimiento",
    maintenance: "Espere un poco y recargue la página.",
    no_moodle_title: "Moodle no responde en su nombre",
    no_moodle: "Moodle no tiene ninguna cuenta para usted, o no le deja usarlo desde aquí. Si debería, indique al soporte el código de \
                abajo.",
    stale_title: "Inicie sesión de nuevo, por favor",
    stale: "Este inicio de sesión empezó hace demasiado tiempo o en otro navegador. Abra una vez más la página que quería.",
    refused_title: "No se ha podido iniciar sesión",
    refused: "El servidor de inicio de sesión no lo ha aceptado. Si sigue así, indique al soporte el código de abajo.",
    cross_site_title: "Esto no se ha hecho",
    cross_site: "Otro sitio web lo ha pedido en su nombre. Vaya a la página misma y hágalo allí.",
    too_many_title: "Demasiadas peticiones",
    too_many: "Desde su conexión se ha pedido más de lo permitido a la vez. Espere un momento y recargue la página.",
    busy_title: "Demasiada carga en este momento",
    busy: "Espere un momento y recargue la página.",
    sign_in_away_title: "Ahora no es posible iniciar sesión",
    sign_in_away: "El servidor de inicio de sesión no responde como debería. Espere un momento y recargue la página.",
    away_title: "No disponible en este momento",
    away: "Lo que está detrás de esta página no responde. Espere unos minutos y recargue la página.",
    wrong_title: "Algo ha salido mal",
    wrong: "El fallo es nuestro. Si sigue así, indique al soporte el código de abajo.",
    slow_title: "La petición ha tardado demasiado",
    slow: "Su conexión era demasiado lenta o se cortó. Espere un momento y recargue la página.",
    too_large_title: "Demasiado grande para subirlo",
    too_large: "Elija un archivo más pequeño.",
    headers_title: "La petición es demasiado grande",
    headers: "Su navegador ha guardado demasiado para este sitio. Borre las cookies de este sitio y recargue la página.",
    bad_request_title: "No se puede responder a esta petición",
    bad_request: "Abra la página de nuevo desde su curso o desde la página de inicio. Si sigue así, indique al soporte el código de abajo.",
};
