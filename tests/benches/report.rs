//! What came out: a table for people, and `target/bench/NAME.json`.

use std::fs;

use comfy_table::{CellAlignment, Table, presets};
use facteur_tests::{median, ratio, target_folder};
use serde_json::{Value, json};

use crate::machine;
use crate::turns::Series;
use crate::world::World;

/// One thing that was measured, of each contestant.
pub struct Row {
    what: String,
    unit: &'static str,
    series: Vec<Series>,
    references: Vec<String>,
}

impl Row {
    /// What was measured, in which unit.
    pub fn new(what: &str, unit: &'static str, series: Vec<Series>) -> Self {
        Self { what: what.to_owned(), unit, series, references: Vec::new() }
    }

    /// With the ratios to these contestants, as far as they took part.
    #[must_use]
    pub fn against(self, references: &[&str]) -> Self {
        Self { references: references.iter().map(|&name| name.to_owned()).collect(), ..self }
    }

    /// The ratios of one to the references other than itself.
    fn ratios(&self, series: &Series) -> Vec<(&str, f64)> {
        let of = |name: &String| {
            let reference =
                self.series.iter().find(|other| other.who == *name && other.who != series.who)?;
            Some((reference.who.as_str(), ratio(&series.values, &reference.values)?))
        };
        self.references.iter().filter_map(of).collect()
    }
}

/// Prints the table and writes the JSON.
pub fn publish(name: &str, what: &str, world: &World, rows: &[Row]) {
    let facts = machine::facts();
    println!("\n{name}: {what}");
    println!("{}", table(rows));
    for (name, value) in &facts {
        println!("  {name}: {value}");
    }
    let folder = target_folder().join("bench");
    let path = folder.join(format!("{name}.json"));
    let value = json!({
        "bench": name,
        "what": what,
        "short": world.short,
        "machine": machine::json(&facts),
        "rows": rows.iter().map(in_json).collect::<Vec<_>>(),
    });
    fs::create_dir_all(&folder).expect("target/ can be written");
    fs::write(&path, format!("{value:#}\n")).expect("target/ can be written");
    println!("  {}\n", path.display());
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "", "median", "", "least to most", "ratio to", "CPU µs/message"]);
    for row in rows {
        for series in &row.series {
            let ratios: Vec<String> = row
                .ratios(series)
                .into_iter()
                .map(|(name, ratio)| format!("{name} {}", short(ratio)))
                .collect();
            let least = series.values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let spread = if series.values.len() > 1 {
                format!("{} to {}", short(least), short(most))
            } else {
                String::new()
            };
            table.add_row([
                row.what.clone(),
                series.who.clone(),
                median(&series.values).map_or_else(String::new, short),
                row.unit.to_owned(),
                spread,
                ratios.join(", "),
                median(&series.cpu).map_or_else(String::new, short),
            ]);
        }
    }
    for column in [2, 4, 6] {
        table.column_mut(column).expect("there are seven").set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// With as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        ..0.1 => format!("{value:.4}"),
        ..10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

fn in_json(row: &Row) -> Value {
    let series = |series: &Series| {
        json!({
            "who": series.who,
            "median": median(&series.values),
            "values": series.values,
            "cpu_us_per_message": median(&series.cpu),
            "cpu_us_per_message_values": series.cpu,
            "ratio_to": row.ratios(series).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        })
    };
    json!({ "what": row.what, "unit": row.unit, "series": row.series.iter().map(series).collect::<Vec<_>>() })
}
