//! German.

use super::Texts;
use crate::config::Language;

pub(super) const TEXTS: Texts = Texts {
    language: Language::German,

    sign_in: "Anmelden",
    sign_in_again: "Neu anmelden",
    sign_out: "Abmelden",
    open_moodle: "Moodle öffnen",
    try_again: "Noch einmal versuchen",
    to_start: "Zur Startseite",
    to_support: "Support kontaktieren",
    code: "Code für den Support:",

    signed_in_title: "Angemeldet",
    signed_in: "Sie sind als {user} über {sign_in} angemeldet, höchstens noch {hours} h {minutes} min lang.",
    not_signed_in_title: "Nicht angemeldet",
    not_signed_in: "Sie sind hier nicht angemeldet.",

    please_sign_in_title: "Bitte melden Sie sich an",
    please_sign_in: "Diese Seite sehen nur angemeldete Personen.",
    in_a_tab: "Die Anmeldung öffnet einen neuen Tab. Kommen Sie danach hierher zurück und laden Sie diese Seite neu.",
    which_sign_in: "Wo melden Sie sich an?",
    arrived_title: "Sie sind angemeldet",
    open_the_file: "Datei öffnen",

    sign_out_title: "Abmelden?",
    you_are: "Sie sind als {user} angemeldet.",
    you_are_by_a_link: "Sie sind über einen Link von {source} hier.",
    only_here: "Wenn Sie sich nur hier abmelden, bleiben Sie bei {server} angemeldet: Wer diesen Browser als Nächstes benutzt, ist \
                ohne Passwort unter Ihrem Namen angemeldet.",
    moodle_ends_too: "In beiden Fällen werden Sie in diesem Browser auch von Moodle abgemeldet.",
    sign_out_everywhere: "Überall abmelden",
    sign_out_here: "Hier abmelden",
    signed_out_title: "Abgemeldet",
    signed_out_here: "Sie sind hier abgemeldet.",
    moodle_has_ended: "In diesem Browser sind Sie auch von Moodle abgemeldet.",
    still_at_server: "Bei {server} sind Sie noch angemeldet: Wer diesen Browser als Nächstes benutzt, ist ohne Passwort unter Ihrem \
                      Namen angemeldet. Wenn auch andere diesen Computer benutzen, melden Sie sich dort ab oder schließen Sie den \
                      Browser.",
    no_way_at_server: "Beim Anmeldeserver kann man sich nicht abmelden, oder er ist nicht erreichbar: Wer diesen Browser als \
                       Nächstes benutzt, ist vielleicht ohne Passwort unter Ihrem Namen angemeldet. Schließen Sie den Browser.",
    not_yet_at_server: "Beim Anmeldeserver sind Sie noch nicht abgemeldet.",
    sign_out_there: "Auch dort abmelden",

    at_moodle_title: "Bitte melden Sie sich bei Moodle an",
    at_moodle_again: "Sie sind bei Moodle schon angemeldet. Für die gewünschte Seite verlangt Moodle, dass Sie sich noch einmal \
                      anmelden.",
    at_moodle_button: "Noch einmal bei Moodle anmelden",
    other_at_moodle: "In diesem Browser ist bei Moodle jemand anderes angemeldet, und in fremdem Namen geschieht hier nichts. Melden \
                      Sie sich dort selbst an.",
    other_at_server: "In diesem Browser ist beim Anmeldeserver jemand anderes angemeldet, oder Moodle kennt Sie unter einem anderen \
                      Namen, und in fremdem Namen geschieht hier nichts. Melden Sie sich dort ab und hier neu an.",
    server_asks: "Der Anmeldeserver möchte Sie etwas fragen, bevor er Sie bei Moodle anmeldet, oder Sie sind dort nicht mehr \
                  angemeldet. Melden Sie sich hier ab und neu an; wenn das nicht hilft, melden Sie sich einmal in Moodle selbst an.",

    from_course_title: "Bitte öffnen Sie die Seite aus Ihrem Kurs",
    from_course: "Diese Seite öffnet sich nur über einen Link aus Ihrem Kurs. Gehen Sie zurück zum Kurs und öffnen Sie das Video neu.",
    link_over: "Der Link, der hierher führte, gilt nicht mehr. Gehen Sie zurück zum Kurs und öffnen Sie das Video neu.",
    not_yet_title: "Noch nicht geöffnet",
    not_yet: "Der Link, der hierher führte, gilt noch nicht. Warten Sie einen Moment und öffnen Sie ihn dann aus dem Kurs neu.",
    bad_link_title: "Dieser Link wird nicht angenommen",
    bad_link: "Gehen Sie zurück zum Kurs und öffnen Sie das Video neu. Wenn es wieder nicht klappt, nennen Sie dem Support den Code \
               unten.",
    no_access_title: "Sie haben hierauf keinen Zugriff",
    no_access: "Wenn Sie Zugriff haben sollten, wenden Sie sich an die Lehrenden Ihres Kurses.",
    withdrawn: "Ihr Zugriff hierauf wurde zurückgenommen. Wenn Sie Zugriff haben sollten, wenden Sie sich an die Lehrenden Ihres \
                Kurses.",
    nothing_here_title: "Hier ist nichts",
    nothing_here: "Prüfen Sie die Adresse, oder öffnen Sie die Seite aus Ihrem Kurs.",
    moodle_first_title: "Moodle braucht Sie zuerst",
    moodle_unknown: "Moodle weiß noch nicht, wer Sie sind. Melden Sie sich einmal an und öffnen Sie diese Seite dann neu.",
    moodle_policy: "In Moodle gibt es eine Richtlinie, der Sie noch nicht zugestimmt haben. Öffnen Sie Moodle, stimmen Sie ihr zu, und \
                    öffnen Sie diese Seite dann neu.",
    moodle_profile: "In Ihrem Profil in Moodle fehlt etwas. Öffnen Sie Moodle, ergänzen Sie es, und öffnen Sie diese Seite dann neu.",
    moodle_password: "Moodle verlangt ein neues Passwort. Öffnen Sie Moodle, ändern Sie es, und öffnen Sie diese Seite dann neu.",
    moodle_visit: "Öffnen Sie Moodle einmal, tun Sie, was es verlangt, und öffnen Sie diese Seite dann neu.",
    moodle_closed_title: "Moodle lässt Sie auf diesem Weg nicht ein",
    moodle_mark: "Ihr Konto in Moodle ist für ein neues Passwort vorgemerkt, hat aber keines, das Sie ändern könnten. Bitten Sie den \
                  Support, die Vormerkung aufzuheben.",
    moodle_factor: "Moodle verlangt einen zweiten Faktor, der nur in Moodle selbst eingegeben werden kann. Öffnen Sie Moodle und \
                    machen Sie dort weiter, oder fragen Sie den Support.",
    maintenance_title: "Moodle wird gerade gewartet",
    maintenance: "Warten Sie eine Weile und laden Sie die Seite dann neu.",
    no_moodle_title: "Moodle antwortet nicht in Ihrem Namen",
    no_moodle: "Moodle hat kein Konto für Sie, oder Sie dürfen es von hier aus nicht benutzen. Wenn Sie das sollten, nennen Sie dem \
                Support den Code unten.",
    stale_title: "Bitte melden Sie sich neu an",
    stale: "Diese Anmeldung wurde vor zu langer Zeit oder in einem anderen Browser begonnen. Öffnen Sie die gewünschte Seite noch \
            einmal.",
    refused_title: "Die Anmeldung hat nicht geklappt",
    refused: "Der Anmeldeserver hat sie nicht angenommen. Wenn es so bleibt, nennen Sie dem Support den Code unten.",
    cross_site_title: "Das wurde nicht ausgeführt",
    cross_site: "Eine andere Website wollte es in Ihrem Namen tun. Gehen Sie auf die Seite selbst und tun Sie es dort.",
    too_many_title: "Zu viele Anfragen",
    too_many: "Über Ihre Verbindung kam mehr, als auf einmal erlaubt ist. Warten Sie einen Moment und laden Sie die Seite dann neu.",
    busy_title: "Im Moment überlastet",
    busy: "Warten Sie einen Moment und laden Sie die Seite dann neu.",
    sign_in_away_title: "Anmelden ist im Moment nicht möglich",
    sign_in_away: "Der Anmeldeserver antwortet nicht wie erwartet. Warten Sie einen Moment und laden Sie die Seite dann neu.",
    away_title: "Im Moment nicht verfügbar",
    away: "Was hinter dieser Seite liegt, antwortet nicht. Warten Sie ein paar Minuten und laden Sie die Seite dann neu.",
    wrong_title: "Etwas ist schiefgegangen",
    wrong: "Der Fehler liegt bei uns. Wenn es so bleibt, nennen Sie dem Support den Code unten.",
    slow_title: "Die Anfrage hat zu lange gedauert",
    slow: "Ihre Verbindung war zu langsam oder brach ab. Warten Sie einen Moment und laden Sie die Seite dann neu.",
    too_large_title: "Zu groß zum Hochladen",
    too_large: "Wählen Sie eine kleinere Datei.",
    headers_title: "Die Anfrage ist zu groß",
    headers: "Ihr Browser hat zu viel für diese Website gespeichert. Löschen Sie die Cookies dieser Website und laden Sie die Seite \
              dann neu.",
    bad_request_title: "Diese Anfrage kann nicht beantwortet werden",
    bad_request: "Öffnen Sie die Seite aus Ihrem Kurs oder von der Startseite neu. Wenn es so bleibt, nennen Sie dem Support den Code \
                  unten.",
    in_a_window_title: "Bitte öffnen Sie sie in einem neuen Fenster",
    in_a_window: "Ihr Browser lässt diese Seite innerhalb Ihres Kurses nicht arbeiten.",
    to_window: "In einem neuen Fenster öffnen",
    choose_title: "Welche Seite soll Ihr Kurs öffnen?",
    choose_name: "Titel",
    choose_page: "Adresse der Seite",
    choose_page_or_id: "Adresse der Seite, oder die Kennung des Videos",
    choose_on: "Weiter",
    chosen_title: "Ist das die Seite?",
    chosen_add: "In den Kurs aufnehmen",
    course_keeps_nothing: "Ihr Browser lässt diese Seite innerhalb Ihres Kurses nicht arbeiten. Erlauben Sie dieser Website, dort Daten zu behalten, oder lassen Sie den Kurs die Seite in einem neuen Fenster öffnen.",
    course_asks_wrongly: "Ihr Kurs hat diese Seite nicht so angefordert, wie es nötig ist. Nennen Sie dem Support den Code unten.",
    no_choice: "Hier lassen sich keine Seiten für einen Kurs auswählen. Nennen Sie dem Support den Code unten.",
    course_names_no_page: "Ihr Kurs nennt keine Seite, die er hier öffnen könnte. Sagen Sie es denen, die ihn leiten.",
};
