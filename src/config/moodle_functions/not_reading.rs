//! Functions that Moodle declares `read` and that are not in the group "read-only": what each changes or hands out, from its
//! source in the releases of `known.txt`.
//!
//! What counts is a change that the person or others see, or that Moodle decides by; a line of the log that is the function's
//! only purpose; an answer with a key by which one acts elsewhere; and code that the arguments name, about which nothing is
//! known here. What does not count is what Moodle writes for itself with any look: its caches, empty rows in place of none,
//! and a line of the log beside an answer that is read (`mod_assign_get_submission_status` logs that feedback was seen).
//! `core_webservice_get_site_info` stays: the key in its answer is taken out by the gateway.

/// Name, and why. In the order of the names.
pub(super) const NOT_READING: [(&str, &str); 45] = [
    ("core_backup_submit_copy_form", "it begins the copy of a course"),
    ("core_blog_view_entries", "all that it does is to log a view"),
    (
        "core_calendar_get_calendar_export_token",
        "it hands out the key to the person's calendar",
    ),
    (
        "core_competency_competency_framework_viewed",
        "all that it does is to log a view",
    ),
    ("core_competency_competency_viewed", "all that it does is to log a view"),
    (
        "core_competency_create_user_evidence_competency",
        "it links evidence with a competency",
    ),
    ("core_competency_template_viewed", "all that it does is to log a view"),
    (
        "core_competency_user_competency_plan_viewed",
        "all that it does is to log a view",
    ),
    (
        "core_competency_user_competency_viewed",
        "all that it does is to log a view",
    ),
    (
        "core_competency_user_competency_viewed_in_course",
        "all that it does is to log a view",
    ),
    (
        "core_competency_user_competency_viewed_in_plan",
        "all that it does is to log a view",
    ),
    ("core_course_set_favourite_courses", "it sets and removes favourites"),
    ("core_dynamic_tabs_get_content", "it runs code that its arguments name"),
    (
        "core_fetch_notifications",
        "it takes away what it tells: nobody is told again",
    ),
    ("core_get_fragment", "it runs code that its arguments name"),
    (
        "core_h5p_get_trusted_h5p_file",
        "it unpacks a file into the site, with the libraries in it",
    ),
    (
        "core_message_get_unsent_message",
        "it takes away what it tells: nobody is told again",
    ),
    ("core_moodlenet_send_activity", "it publishes an activity elsewhere"),
    ("core_moodlenet_send_course", "it publishes a course elsewhere"),
    ("core_session_touch", "it makes a session last longer"),
    (
        "core_table_get_dynamic_table_content",
        "it runs code that its arguments name, and keeps hidden columns as the person's choice",
    ),
    (
        "message_airnotifier_get_user_devices",
        "it hands out the push tokens of the person's devices",
    ),
    (
        "mod_bigbluebuttonbn_meeting_info",
        "it makes the guests' way into the meeting, and hands out its password",
    ),
    (
        "mod_chat_get_chat_latest_messages",
        "it keeps the person in the chat, and puts out others who are silent",
    ),
    ("mod_chat_get_chat_users", "it puts out of the chat who is silent"),
    (
        "mod_feedback_get_responses_analysis",
        "it numbers anonymous answers for good",
    ),
    (
        "mod_glossary_prepare_entry_for_edition",
        "it copies an entry's files into drafts, to be changed there",
    ),
    (
        "mod_lesson_get_lesson",
        "it hands out the lesson's password to those who manage it",
    ),
    (
        "mod_lesson_get_lessons_by_courses",
        "it hands out the lessons' passwords to those who manage them",
    ),
    (
        "mod_lti_get_ltis_by_courses",
        "it hands out the tools' shared secrets to those who manage activities",
    ),
    (
        "mod_lti_get_tool_launch_data",
        "it hands out a signed launch, which is the person's way into another system",
    ),
    ("mod_lti_get_tool_proxies", "it hands out the proxies' shared secrets"),
    (
        "mod_lti_get_tool_proxy_registration_request",
        "it hands out the password of a registration, and a session's key",
    ),
    ("mod_lti_view_lti", "it logs a view and completes the activity"),
    (
        "mod_quiz_get_attempt_access_information",
        "it ends an attempt whose time is up",
    ),
    ("mod_quiz_get_attempt_data", "it ends an attempt whose time is up"),
    ("mod_quiz_get_attempt_summary", "it ends an attempt whose time is up"),
    (
        "mod_quiz_get_quizzes_by_courses",
        "it hands out the quizzes' passwords to those who manage them",
    ),
    (
        "quizaccess_seb_validate_quiz_keys",
        "it opens a quiz for the session, and logs who has the wrong keys",
    ),
    (
        "tiny_premium_get_api_key",
        "it hands out the site's key to another service",
    ),
    (
        "tool_dataprivacy_get_data_requests",
        "it ends exports whose time is up, and deletes their files",
    ),
    ("tool_mobile_get_content", "it runs code that its arguments name"),
    (
        "tool_mobile_get_tokens_for_qr_login",
        "it hands out tokens, and uses up the key that it is called with",
    ),
    ("tool_moodlenet_verify_webfinger", "it stores a profile for the person"),
    ("tool_usertours_fetch_and_start_tour", "it logs that a tour has begun"),
];
