//! What does a run cost, on a machine that does other things too?
//!
//! All contestants of a row take their turns in every round, and who begins moves on: what slows the machine for a
//! while slows all. What counts is the CPU time of this thread. A figure is the median of the rounds; its spread is
//! half of what lies between the quartiles. A ratio is the median of the ratios within the rounds.
//!
//! Where there are many connections the contestants do not take turns: a program has one engine, so what the others
//! would leave in the caches has no place there.

use std::mem;

use rustix::time::{ClockId, clock_gettime};

use crate::transport::Outcome;

/// Nanoseconds of CPU time that this thread has had.
pub fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub struct Contestant<'c> {
    pub name: &'static str,
    /// What it does so many times; it sees for itself that it was done right.
    pub run: Box<dyn FnMut(usize) -> Outcome + 'c>,
    /// How many of what is counted a run does.
    pub units: usize,
}

/// What came of a contestant: nanoseconds a unit, a figure for each round.
#[derive(Clone, Debug)]
pub struct Figures {
    pub name: &'static str,
    pub rounds: Result<Vec<f64>, String>,
}

impl Figures {
    pub fn median(&self) -> Option<f64> {
        self.rounds.as_ref().ok().map(|rounds| quantile(rounds, 0.5))
    }

    /// As a share of the median.
    pub fn spread(&self) -> Option<f64> {
        let rounds = self.rounds.as_ref().ok()?;
        Some((quantile(rounds, 0.75) - quantile(rounds, 0.25)) / 2.0 / quantile(rounds, 0.5))
    }

    /// How many times as long `other` took.
    pub fn ahead_of(&self, other: &Figures) -> Option<f64> {
        let (ours, others) = (self.rounds.as_ref().ok()?, other.rounds.as_ref().ok()?);
        Some(quantile(&others.iter().zip(ours).map(|(other, ours)| other / ours).collect::<Vec<_>>(), 0.5))
    }
}

fn quantile(rounds: &[f64], share: f64) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// How often each contestant has a go, where they do not take turns.
const LAPS: usize = 3;

/// One contestant after the other, each made for its rounds and dropped behind them.
pub fn compare_apart<'c>(
    makers: &[Box<dyn Fn() -> Contestant<'c> + 'c>],
    rounds: usize,
    nanoseconds: u64,
) -> Vec<Figures> {
    let laps = LAPS.min(rounds);
    let mut figures: Vec<Figures> = Vec::new();
    for lap in 0..laps {
        let share = rounds * (lap + 1) / laps - rounds * lap / laps;
        for (index, make) in makers.iter().enumerate() {
            let more = compare(vec![make()], share, nanoseconds).remove(0);
            let Some(earlier) = figures.get_mut(index) else {
                figures.push(more);
                continue;
            };
            earlier.rounds = mem::replace(&mut earlier.rounds, Ok(Vec::new())).and_then(|mut rounds| {
                rounds.extend(more.rounds?);
                Ok(rounds)
            });
        }
    }
    figures
}

pub fn compare(mut contestants: Vec<Contestant<'_>>, rounds: usize, nanoseconds: u64) -> Vec<Figures> {
    let mut times = Vec::new();
    let mut figures: Vec<Figures> = contestants
        .iter_mut()
        .map(|contestant| {
            // The first run warms up, the second tells how many fill a sample.
            let outcome = (contestant.run)(1).and_then(|()| {
                let start = cpu_time();
                (contestant.run)(1)?;
                Ok(cpu_time() - start)
            });
            let one = outcome.as_ref().map_or(1, |time| (*time).max(1));
            times.push((nanoseconds / one).clamp(1, 100_000) as usize);
            Figures { name: contestant.name, rounds: outcome.map(|_| Vec::new()).map_err(|error| error.to_string()) }
        })
        .collect();
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let Ok(samples) = &mut figures[index].rounds else { continue };
            let contestant = &mut contestants[index];
            // A run untimed, so that what the others left in the caches is not measured.
            let time = (contestant.run)(1).and_then(|()| {
                let start = cpu_time();
                (contestant.run)(times[index])?;
                Ok(cpu_time() - start)
            });
            match time {
                Ok(time) => samples.push(time as f64 / (times[index] * contestant.units) as f64),
                Err(error) => figures[index].rounds = Err(error.to_string()),
            }
        }
    }
    figures
}
