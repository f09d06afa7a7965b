//! Prints what a plan may hold: `-- page` for `docs/plan.md`, `-- schema` for `plans/schema.json`.

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("page") => print!("{}", trials::plan::page()),
        Some("schema") => println!("{:#}", trials::plan::schema()),
        _ => eprintln!("usage: plan_reference page | schema"),
    }
}
