//! The web service functions that Moodle itself has, and which of them read: `known.txt`, less `not_reading`.

use std::sync::LazyLock;

use strsim::osa_distance;

use super::not_reading::NOT_READING;

/// The releases of which `known.txt` tells, as messages name them.
pub const VERSIONS: &str = "Moodle 4.4.12+ and 5.0";
/// The service whose functions `known.txt` tells, too.
pub const APP_SERVICE: &str = "moodle_mobile_app";
/// Calls the functions that its `requests[N][function]` name, with the same token (`admin/tool/mobile/classes/external.php`).
/// It is in both groups: each of the others is judged as if it were called by itself.
pub const WRAPPER: &str = "tool_mobile_call_external_functions";

const TEXT: &str = include_str!("known.txt");
/// More letters differ in no slip of the pen.
const MOST_EDITS: usize = 3;

/// A function of Moodle's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub name: &'static str,
    /// As Moodle declares it.
    is_read: bool,
    /// Is it in [`APP_SERVICE`], in one release at least?
    pub in_app: bool,
    /// Why it is not in the group "read-only" although Moodle declares it `read`.
    excepted: Option<&'static str>,
}

/// Why a function is not in the group "read-only". Completes "it is not in "read-only": …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReading {
    #[error("{} have no such function, and what is not known counts as writing", VERSIONS)]
    Unknown,
    #[error("Moodle declares it `write`")]
    Writes,
    #[error("Moodle declares it `read`, but {0}")]
    Excepted(&'static str),
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let mut all: Vec<_> = TEXT.lines().filter_map(line).collect();
    all.sort_unstable_by_key(|known| known.name);
    all
});

/// `None`: a comment, or not a line of this file.
fn line(line: &'static str) -> Option<Known> {
    let mut columns = line.split(' ').filter(|_| !line.starts_with('#'));
    let (name, kind) = (columns.next()?, columns.next()?);
    Some(Known {
        name,
        is_read: kind == "read",
        in_app: columns.any(|offered| offered == "app"),
        excepted: NOT_READING
            .iter()
            .find(|(excepted, _)| *excepted == name)
            .map(|(_, why)| *why),
    })
}

/// All of them, in the order of their names.
pub fn all() -> &'static [Known] {
    &KNOWN
}

/// The function of this name.
pub fn known(name: &str) -> Option<&'static Known> {
    let place = KNOWN.binary_search_by(|known| known.name.cmp(name)).ok()?;
    KNOWN.get(place)
}

/// Is a function in the group "read-only"? The wrapper is, since it does nothing by itself.
pub fn reads(name: &str) -> Result<(), NotReading> {
    match known(name) {
        _ if name == WRAPPER => Ok(()),
        None => Err(NotReading::Unknown),
        Some(Known {
            excepted: Some(why), ..
        }) => Err(NotReading::Excepted(why)),
        Some(known) if known.is_read => Ok(()),
        Some(_) => Err(NotReading::Writes),
    }
}

/// The function that was probably meant by a name or pattern that names none.
pub(in crate::config) fn nearest(text: &str) -> Option<&'static str> {
    let distances = KNOWN.iter().map(|known| (osa_distance(text, known.name), known.name));
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest
        .filter(|(distance, _)| *distance <= MOST_EDITS)
        .map(|(_, name)| name)
}

/// Does a name, or the beginning of a pattern, belong to a part of Moodle that has functions in the list: `mod_assign_…`,
/// `core_…`? Another's functions may well be there, since plugins bring their own.
pub(in crate::config) fn is_moodles_own(text: &str) -> bool {
    let component = component(text);
    KNOWN.iter().any(|known| self::component(known.name) == component)
}

/// `core` has many subsystems and no plugins; anything else is named by kind and name.
fn component(text: &str) -> &str {
    let mut ends = text.match_indices('_').map(|(at, _)| at);
    let end = match text.starts_with("core_") {
        true => ends.next(),
        false => ends.nth(1),
    };
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_understood() {
        let lines: Vec<&str> = TEXT.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(all().len(), lines.len());
        assert!(lines.len() > 700, "{}", lines.len());
        for line in lines {
            let columns: Vec<&str> = line.split(' ').collect();
            assert_eq!(columns.len(), 4, "{line}");
            assert!(["read", "write"].contains(&columns[1]), "{line}");
            assert!(
                columns[2..].iter().all(|column| ["-", "yes", "app"].contains(column)),
                "{line}"
            );
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(columns[0].bytes().all(plain), "{line}");
        }
        let names: Vec<&str> = all().iter().map(|known| known.name).collect();
        assert!(names.windows(2).all(|two| two[0] < two[1]), "sorted, each once");
    }

    #[test]
    fn the_versions_are_those_of_the_file() {
        let head: Vec<&str> = TEXT.lines().take_while(|line| line.starts_with('#')).collect();
        let versions = head.iter().filter_map(|line| line.strip_prefix("#   Moodle "));
        let versions: Vec<&str> = versions.map(|version| version.split(' ').next().unwrap()).collect();
        assert_eq!(VERSIONS, format!("Moodle {}", versions.join(" and ")));
    }

    #[test]
    fn every_exception_is_declared_read_and_has_its_reason() {
        for (name, why) in NOT_READING {
            assert!(known(name).is_some_and(|known| known.is_read), "{name}");
            assert!(
                why.starts_with("it ") || why.starts_with("all that it does"),
                "{name}: {why}"
            );
            assert_eq!(reads(name), Err(NotReading::Excepted(why)));
        }
        assert!(NOT_READING.windows(2).all(|two| two[0].0 < two[1].0));
    }

    #[test]
    fn what_reads_and_what_does_not() {
        for name in ["core_webservice_get_site_info", "core_enrol_get_users_courses", WRAPPER] {
            assert_eq!(reads(name), Ok(()), "{name}");
        }
        for name in [
            "mod_assign_save_submission",
            "tool_mobile_get_autologin_key",
            "core_user_view_user_profile",
        ] {
            assert_eq!(reads(name), Err(NotReading::Writes), "{name}");
        }
        for name in [
            "mod_bigbluebuttonbn_meeting_info",
            "mod_quiz_get_quizzes_by_courses",
            "mod_lesson_get_lesson",
            "mod_lesson_get_lessons_by_courses",
        ] {
            assert!(matches!(reads(name), Err(NotReading::Excepted(_))), "{name}");
        }
        for name in ["local_exam_get_all", "core_webservice_get_site_info2", "", "core_"] {
            assert_eq!(reads(name), Err(NotReading::Unknown), "{name}");
        }
        assert!(known("core_webservice_get_site_info").is_some_and(|known| known.in_app));
        assert!(known("core_role_assign_roles").is_some_and(|known| !known.in_app));
    }

    #[test]
    fn slips_are_recognized_and_other_plugins_are_not_taken_for_them() {
        assert_eq!(
            nearest("core_webservice_get_siteinfo"),
            Some("core_webservice_get_site_info")
        );
        assert_eq!(nearest("local_exam_get_all"), None);
        assert!(is_moodles_own("mod_assign_get_everything"));
        assert!(is_moodles_own("core_ai_get_everything"));
        assert!(!is_moodles_own("mod_hvp_get_everything"));
        assert!(!is_moodles_own("local_exam_get_all"));
    }
}
