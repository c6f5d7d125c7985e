//! English.

use super::Texts;
use crate::config::Language;

pub(super) const TEXTS: Texts = Texts {
    language: Language::English,

    sign_in: "Sign in",
    sign_in_again: "Sign in again",
    sign_out: "Sign out",
    open_moodle: "Open Moodle",
    try_again: "Try again",
    to_start: "To the start page",
    to_support: "Contact support",
    code: "Code for the support desk:",

    signed_in_title: "Signed in",
    signed_in: "You are signed in as {user} by {sign_in}, for another {hours} h {minutes} min at most.",
    not_signed_in_title: "Not signed in",
    not_signed_in: "You are not signed in here.",

    please_sign_in_title: "Please sign in",
    please_sign_in: "Only people who are signed in can see this page.",
    in_a_tab: "Signing in opens a new tab. Come back here afterwards and load this page again.",
    which_sign_in: "Where do you sign in?",
    arrived_title: "You are signed in",
    open_the_file: "Open the file",

    sign_out_title: "Sign out?",
    you_are: "You are signed in as {user}.",
    you_are_by_a_link: "You are here by a link from {source}.",
    only_here: "Signing out here alone leaves you signed in at {server}: whoever uses this browser next comes in as you without a \
                password.",
    moodle_ends_too: "Either way you are signed out of Moodle in this browser, too.",
    sign_out_everywhere: "Sign out everywhere",
    sign_out_here: "Sign out here",
    signed_out_title: "Signed out",
    signed_out_here: "You are signed out here.",
    moodle_has_ended: "You are signed out of Moodle in this browser, too.",
    still_at_server: "You are still signed in at {server}: whoever uses this browser next comes in as you without a password. If \
                      others use this computer, sign out there or close the browser.",
    no_way_at_server: "The sign-in server offers no way to sign out there, or is away: whoever uses this browser next may come in \
                       as you without a password. Close the browser.",
    not_yet_at_server: "You are not signed out at the sign-in server yet.",
    sign_out_there: "Sign out there, too",

    at_moodle_title: "Please sign in at Moodle",
    at_moodle_again: "You are signed in at Moodle already. For the page that you wanted, Moodle asks you to sign in once more.",
    at_moodle_button: "Sign in at Moodle once more",
    other_at_moodle: "Somebody else is signed in at Moodle in this browser, and nothing is done in their name. Sign in there as \
                      yourself.",
    other_at_server: "Somebody else is signed in at the sign-in server in this browser, or Moodle knows you by another name, and \
                      nothing is done in their name. Sign out there, and sign in here once more.",
    server_asks: "The sign-in server wants to ask you something before it signs you in to Moodle, or you are not signed in there \
                  any more. Sign out here and sign in again; if that does not help, log in to Moodle once.",

    from_course_title: "Please open it from your course",
    from_course: "This page opens only by a link from your course. Go back to your course and open the video again.",
    link_over: "The link that led here is no longer good. Go back to your course and open the video again.",
    not_yet_title: "Not open yet",
    not_yet: "The link that led here is not good yet. Wait a moment, then open it from your course again.",
    bad_link_title: "This link is not accepted",
    bad_link: "Go back to your course and open the video again. If it fails once more, tell your support desk, with the code below.",
    no_access_title: "You have no access to this",
    no_access: "If you should have access, ask the people who run your course.",
    withdrawn: "Your access to this was withdrawn. If you should have access, ask the people who run your course.",
    nothing_here_title: "There is nothing here",
    nothing_here: "Check the address, or open it from your course.",
    moodle_first_title: "Moodle wants to see you first",
    moodle_unknown: "Moodle does not know yet who you are. Sign in once, then open this page again.",
    moodle_policy: "Moodle has a policy that you have not agreed to yet: open Moodle, agree to it, then try again.",
    moodle_profile: "Something is missing in your profile in Moodle: open Moodle, fill it in, then try again.",
    moodle_password: "Moodle wants you to choose a new password: open Moodle, change it, then try again.",
    moodle_visit: "Moodle wants something of you first: open Moodle, do what it asks, then try again.",
    moodle_closed_title: "Moodle does not let you in this way",
    moodle_mark: "Your account in Moodle is marked for a new password, and has none that you could change: ask your support desk to \
                  remove the mark.",
    moodle_factor: "Moodle asks for a second factor, which can be given in Moodle itself only: open Moodle and go on there, or ask \
                    your support desk.",
    maintenance_title: "Moodle is under maintenance",
    maintenance: "Wait a while, then load the page again.",
    no_moodle_title: "Moodle does not answer in your name",
    no_moodle: "Moodle has no account for you, or does not let you use it from here. If it should, tell your support desk, with the \
                code below.",
    stale_title: "Please sign in again",
    stale: "This sign-in was begun too long ago, or in another browser. Open the page that you wanted once more.",
    refused_title: "Signing in did not work",
    refused: "The sign-in server did not accept it. If this stays so, tell your support desk, with the code below.",
    cross_site_title: "This was not done",
    cross_site: "Another web site asked for it in your name. Go to the page itself and do it there.",
    too_many_title: "Too many requests",
    too_many: "From your connection more was asked for than is allowed at once. Wait a moment, then load the page again.",
    busy_title: "Too busy at the moment",
    busy: "Wait a moment, then load the page again.",
    sign_in_away_title: "Signing in is not possible at the moment",
    sign_in_away: "The sign-in server does not answer as it should. Wait a moment, then load the page again.",
    away_title: "Not available at the moment",
    away: "What is behind this page does not answer. Wait a few minutes, then load the page again.",
    wrong_title: "Something went wrong",
    wrong: "The mistake is on our side. If this stays so, tell your support desk, with the code below.",
    slow_title: "The request took too long",
    slow: "Your connection was too slow or broke off. Wait a moment, then load the page again.",
    too_large_title: "Too large to upload",
    too_large: "Choose a smaller file.",
    headers_title: "The request is too large",
    headers: "Your browser has kept too much for this site. Delete the cookies of this site, then load the page again.",
    bad_request_title: "This request cannot be answered",
    bad_request: "Open the page from your course or from the start page again. If this stays so, tell your support desk, with the \
                  code below.",
};
