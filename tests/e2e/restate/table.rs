//! The table in `docs/protocols/restate.md`: what the tests beside it run.

use super::{CRASHES, SCENARIOS, SDKS};

const PAGE: &str = "../docs/protocols/restate.md";

fn table() -> String {
    let line = |first: &str, cell: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = (0..SDKS.len()).map(cell).collect();
        format!("| {first} | {} |\n", cells.join(" | "))
    };
    let mut table = line("", &|index| SDKS[index].name.to_owned());
    table += &format!("|---{}|\n", "|---".repeat(SDKS.len()));
    table += &line("service protocol", &|index| format!("V{}", SDKS[index].protocol));
    let names = SCENARIOS.iter().map(|scenario| scenario.name);
    for name in names.chain(CRASHES.iter().copied()) {
        table += &line(name, &|_| "yes".to_owned());
    }
    table
}

#[test]
fn the_documentation_has_what_runs() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(page).expect("the page is there");
    let table = table();
    assert!(
        page.contains(&table),
        "put this into docs/protocols/restate.md:\n{table}"
    );
}
