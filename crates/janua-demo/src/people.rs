//! The students of the demo's campus, whom its CAS server and its Moodle know.

pub(super) struct Person {
    pub(super) username: &'static str,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    /// Moodle's number of the account; `None`: Moodle has none.
    pub(super) account: Option<u64>,
    /// What Moodle has them in: number, short name, name.
    pub(super) courses: &'static [(u64, &'static str, &'static str)],
}

pub(super) static PEOPLE: [Person; 3] = [
    Person {
        username: "anna",
        first_name: "Anna",
        last_name: "Atkins",
        account: Some(3),
        courses: &[
            (4, "BOT-4", "British Algae in Cyanotype"),
            (7, "CHE-7", "Light and Iron Salts"),
        ],
    },
    Person {
        username: "bertha",
        first_name: "Bertha",
        last_name: "Benz",
        account: Some(4),
        courses: &[(9, "ENG-9", "Engines, and How to Mend Them on the Road")],
    },
    // Whom every app has to refuse.
    Person {
        username: "charles",
        first_name: "Charles",
        last_name: "Babbage",
        account: None,
        courses: &[],
    },
];

impl Person {
    pub(super) fn named(username: &str) -> Option<&'static Self> {
        PEOPLE.iter().find(|person| person.username == username)
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}
