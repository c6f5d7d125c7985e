//! French.

use super::Texts;
use crate::config::Language;

pub(super) const TEXTS: Texts = Texts {
    language: Language::French,

    sign_in: "Se connecter",
    sign_in_again: "Se reconnecter",
    sign_out: "Se déconnecter",
    open_moodle: "Ouvrir Moodle",
    try_again: "Réessayer",
    to_start: "Vers la page d’accueil",
    to_support: "Contacter l’assistance",
    code: "Code pour l’assistance :",

    signed_in_title: "Vous êtes connecté",
    signed_in: "Vous êtes connecté en tant que {user} par {sign_in}, pour {hours} h {minutes} min au plus.",
    not_signed_in_title: "Non connecté",
    not_signed_in: "Vous n’êtes pas connecté ici.",

    please_sign_in_title: "Veuillez vous connecter",
    please_sign_in: "Seules les personnes connectées peuvent voir cette page.",
    in_a_tab: "La connexion ouvre un nouvel onglet. Revenez ensuite ici et rechargez cette page.",
    which_sign_in: "Où vous connectez-vous ?",
    arrived_title: "La connexion est établie",
    open_the_file: "Ouvrir le fichier",

    sign_out_title: "Se déconnecter ?",
    you_are: "Vous êtes connecté en tant que {user}.",
    you_are_by_a_link: "Vous êtes ici par un lien de {source}.",
    only_here: "Si vous ne vous déconnectez qu’ici, vous restez connecté à {server} : la prochaine personne qui utilise ce navigateur \
                entre à votre nom sans mot de passe.",
    moodle_ends_too: "Dans les deux cas, vous êtes aussi déconnecté de Moodle dans ce navigateur.",
    sign_out_everywhere: "Se déconnecter partout",
    sign_out_here: "Se déconnecter ici",
    signed_out_title: "Vous êtes déconnecté",
    signed_out_here: "Vous êtes déconnecté ici.",
    moodle_has_ended: "Vous êtes aussi déconnecté de Moodle dans ce navigateur.",
    still_at_server: "Vous êtes encore connecté à {server} : la prochaine personne qui utilise ce navigateur entre à votre nom sans mot \
                      de passe. Si d’autres utilisent cet ordinateur, déconnectez-vous là-bas ou fermez le navigateur.",
    no_way_at_server: "Le serveur de connexion n’offre pas de déconnexion, ou ne répond pas : la prochaine personne qui utilise ce \
                       navigateur entrera peut-être à votre nom sans mot de passe. Fermez le navigateur.",
    not_yet_at_server: "Vous n’êtes pas encore déconnecté du serveur de connexion.",
    sign_out_there: "S’y déconnecter aussi",

    at_moodle_title: "Veuillez vous connecter à Moodle",
    at_moodle_again: "Vous êtes déjà connecté à Moodle. Pour la page que vous vouliez, Moodle vous demande de vous connecter encore une \
                      fois.",
    at_moodle_button: "Se connecter encore une fois à Moodle",
    other_at_moodle: "Une autre personne est connectée à Moodle dans ce navigateur, et rien n’est fait en son nom. Connectez-vous-y \
                      vous-même.",
    other_at_server: "Une autre personne est connectée au serveur de connexion dans ce navigateur, ou Moodle vous connaît sous un autre \
                      nom, et rien n’est fait en son nom. Déconnectez-vous là-bas, puis reconnectez-vous ici.",
    server_asks: "Le serveur de connexion veut vous demander quelque chose avant de vous connecter à Moodle, ou vous n’y êtes plus \
                  connecté. Déconnectez-vous ici et reconnectez-vous ; si cela ne suffit pas, connectez-vous une fois à Moodle.",

    from_course_title: "Veuillez l’ouvrir depuis votre cours",
    from_course: "Cette page ne s’ouvre que par un lien de votre cours. Retournez à votre cours et ouvrez la vidéo à nouveau.",
    link_over: "Le lien qui vous a mené ici n’est plus valable. Retournez à votre cours et ouvrez la vidéo à nouveau.",
    not_yet_title: "Pas encore ouvert",
    not_yet: "Le lien qui vous a mené ici n’est pas encore valable. Attendez un moment, puis ouvrez-le à nouveau depuis votre cours.",
    bad_link_title: "Ce lien n’est pas accepté",
    bad_link: "Retournez à votre cours et ouvrez la vidéo à nouveau. Si cela échoue encore, donnez le code ci-dessous à l’assistance.",
    no_access_title: "Vous n’y avez pas accès",
    no_access: "Si vous devriez y avoir accès, adressez-vous aux responsables de votre cours.",
    withdrawn: "Votre accès a été retiré. Si vous devriez y avoir accès, adressez-vous aux responsables de votre cours.",
    nothing_here_title: "Il n’y a rien ici",
    nothing_here: "Vérifiez l’adresse, ou ouvrez la page depuis votre cours.",
    moodle_first_title: "Moodle veut d’abord vous voir",
    moodle_unknown: "Moodle ne sait pas encore qui vous êtes. Connectez-vous une fois, puis ouvrez cette page à nouveau.",
    moodle_policy: "Moodle a une charte que vous n’avez pas encore acceptée. Ouvrez Moodle, acceptez-la, puis ouvrez cette page à \
                    nouveau.",
    moodle_profile: "Il manque quelque chose dans votre profil Moodle. Ouvrez Moodle, complétez-le, puis ouvrez cette page à nouveau.",
    moodle_password: "Moodle vous demande de choisir un nouveau mot de passe. Ouvrez Moodle, changez-le, puis ouvrez cette page à \
                      nouveau.",
    moodle_visit: "Ouvrez Moodle une fois et faites ce qu’il demande, puis ouvrez cette page à nouveau.",
    moodle_closed_title: "Moodle ne vous laisse pas entrer de cette façon",
    moodle_mark: "Votre compte Moodle est marqué pour un nouveau mot de passe, mais n’en a pas que vous puissiez changer. Demandez à \
                  l’assistance d’enlever cette marque.",
    moodle_factor: "Moodle demande un second facteur, qui ne peut être donné que dans Moodle. Ouvrez Moodle et continuez là-bas, ou \
                    adressez-vous à l’assistance.",
    maintenance_title: "Moodle est en maintenance",
    maintenance: "Attendez un peu, puis rechargez la page.",
    no_moodle_title: "Moodle ne répond pas en votre nom",
    no_moodle: "Moodle n’a pas de compte pour vous, ou ne vous laisse pas l’utiliser d’ici. S’il le devrait, donnez le code ci-dessous à \
                l’assistance.",
    stale_title: "Veuillez vous reconnecter",
    stale: "Cette connexion a été commencée il y a trop longtemps, ou dans un autre navigateur. Ouvrez encore une fois la page que vous \
            vouliez.",
    refused_title: "La connexion n’a pas réussi",
    refused: "Le serveur de connexion ne l’a pas acceptée. Si cela persiste, donnez le code ci-dessous à l’assistance.",
    cross_site_title: "Cela n’a pas été fait",
    cross_site: "Un autre site l’a demandé en votre nom. Allez sur la page elle-même et faites-le là-bas.",
    too_many_title: "Trop de demandes",
    too_many: "Votre connexion a demandé plus que ce qui est permis à la fois. Attendez un moment, puis rechargez la page.",
    busy_title: "Trop chargé en ce moment",
    busy: "Attendez un moment, puis rechargez la page.",
    sign_in_away_title: "La connexion n’est pas possible en ce moment",
    sign_in_away: "Le serveur de connexion ne répond pas comme il devrait. Attendez un moment, puis rechargez la page.",
    away_title: "Non disponible en ce moment",
    away: "Ce qui se trouve derrière cette page ne répond pas. Attendez quelques minutes, puis rechargez la page.",
    wrong_title: "Quelque chose s’est mal passé",
    wrong: "L’erreur est de notre côté. Si cela persiste, donnez le code ci-dessous à l’assistance.",
    slow_title: "La demande a pris trop de temps",
    slow: "Votre connexion était trop lente ou s’est interrompue. Attendez un moment, puis rechargez la page.",
    too_large_title: "Trop volumineux pour être envoyé",
    too_large: "Choisissez un fichier plus petit.",
    headers_title: "La demande est trop volumineuse",
    headers: "Votre navigateur a gardé trop de choses pour ce site. Supprimez les cookies de ce site, puis rechargez la page.",
    bad_request_title: "Cette demande ne peut pas recevoir de réponse",
    bad_request: "Ouvrez la page à nouveau depuis votre cours ou la page d’accueil. Si cela persiste, donnez le code ci-dessous à \
                  l’assistance.",
    in_a_window_title: "Ouvrez-la dans une nouvelle fenêtre",
    in_a_window: "Votre navigateur ne laisse pas cette page fonctionner à l’intérieur de votre cours.",
    to_window: "Ouvrir dans une nouvelle fenêtre",
    choose_title: "Quelle page votre cours doit-il ouvrir ?",
    choose_name: "Titre",
    choose_page: "Adresse de la page",
    choose_page_or_id: "Adresse de la page, ou identifiant de la vidéo",
    choose_on: "Continuer",
    chosen_title: "Est-ce la bonne page ?",
    chosen_add: "Ajouter au cours",
    course_keeps_nothing: "Votre navigateur ne laisse pas cette page fonctionner à l’intérieur de votre cours. Autorisez ce site à y garder des données, ou faites ouvrir la page dans une nouvelle fenêtre.",
    course_asks_wrongly: "Votre cours n’a pas demandé cette page comme il le faut. Donnez le code ci-dessous à l’assistance.",
    no_choice: "Aucune page ne peut être choisie ici pour un cours. Donnez le code ci-dessous à l’assistance.",
    course_names_no_page: "Votre cours ne nomme aucune page qu’il puisse ouvrir ici. Dites-le à ses responsables.",
};
