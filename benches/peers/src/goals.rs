//! How fast is fast enough?

use crate::rows::Row;
use crate::table::{Standing, Times, significant};

/// What we want of a row, and whether it is so.
pub struct Goal {
    pub text: String,
    pub is_met: bool,
}

/// A bound that a figure must keep.
enum Bound {
    /// So many times the time of ours is what the fastest peer takes.
    Fastest(f64),
    /// As much, of those who check as much.
    Strict(f64),
    /// Of the time of ours, so much is what the bare loop takes.
    Bare(f64),
    Nanoseconds(f64),
    /// A byte costs no more than in the first row of the part, but for a quarter that noise may be.
    Linear,
}

/// The form of ours that a row is about: what goes to many is prepared.
pub fn ours(row: &Row) -> &'static str {
    match row.part {
        "broadcast" => "sockless prepared",
        _ => "sockless",
    }
}

fn bounds(row: &Row) -> Vec<Bound> {
    match (row.part, row.size) {
        ("receive", ..=125) if row.title.contains("binary") => vec![Bound::Strict(3.0)],
        ("receive", 1024) => vec![Bound::Fastest(1.3)],
        ("receive", 16384..) => vec![Bound::Fastest(1.0), Bound::Bare(0.9)],
        ("send", _) => vec![Bound::Fastest(1.5)],
        ("client-send", ..=1024) => vec![Bound::Fastest(1.2)],
        ("client-receive", ..=1024) => vec![Bound::Fastest(2.0)],
        ("echo", 16) => vec![Bound::Fastest(2.5)],
        ("echo", ..=1024) => vec![Bound::Fastest(1.3)],
        ("client-send" | "client-receive" | "echo", _) => vec![Bound::Fastest(1.0)],
        ("open", _) => vec![Bound::Bare(1.0 / 1.5)],
        ("broadcast", _) => vec![Bound::Nanoseconds(40.0)],
        ("trickle", _) => vec![Bound::Linear],
        _ => vec![],
    }
}

impl Goal {
    /// None where we want nothing, or nothing is there to hold it against.
    pub fn of(row: &Row, standing: &Standing, rows: &[Row]) -> Option<Goal> {
        let ours = ours(row);
        let figure = |row: &Row| row.figures.iter().find(|figures| figures.name == ours)?.median();
        let times = |peer: &Option<(&str, Times)>| {
            let (_, times) = peer.as_ref()?;
            times.iter().find(|(form, _)| *form == ours).map(|(_, times)| *times)
        };
        let goals: Option<Vec<_>> = bounds(row)
            .into_iter()
            .map(|bound| {
                Some(match bound {
                    Bound::Fastest(least) => (format!("{least}× the fastest"), times(&standing.fastest)? >= least),
                    Bound::Strict(least) => (format!("{least}× the fastest strict"), times(&standing.strict)? >= least),
                    Bound::Bare(least) => (format!("{} of the bare loop", significant(least)), standing.bare? >= least),
                    Bound::Nanoseconds(most) => (format!("{most} ns"), figure(row)? <= most),
                    Bound::Linear => {
                        let a_byte = |row: &Row| Some(figure(row)? / row.size as f64);
                        let first = a_byte(rows.iter().find(|first| first.part == row.part)?)?;
                        let now = a_byte(row)?;
                        let text = format!("linear: a byte {} ns, {} at first", significant(now), significant(first));
                        (text, now <= first * 1.25)
                    }
                })
            })
            .collect();
        let goals = goals?;
        if goals.is_empty() {
            return None;
        }
        let is_met = goals.iter().all(|(_, is_met)| *is_met);
        Some(Goal { text: goals.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(", "), is_met })
    }
}
