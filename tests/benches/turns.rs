//! By turns: one turn of each contestant, then the next round.

use std::time::Duration;

use crate::processes::Processes;
use crate::world::World;

/// Messages of the first turn, which warms up and isn't counted.
const FIRST: usize = 300;
/// The least that a turn sends, so that one slow message isn't all of it.
const LEAST: usize = 200;

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Messages a second, or what the row's unit says.
    pub value: f64,
    /// Processor time of the server's processes for each message, in µs.
    pub cpu: Option<f64>,
}

impl Turn {
    /// A rate of so many messages in this time.
    pub fn rate(messages: usize, time: Duration) -> Self {
        Self { value: count(messages) / time.as_secs_f64(), cpu: None }
    }

    /// Measures a rate, and what it takes of a server's processor time until the server is at rest
    /// again.
    pub fn of(messages: usize, processes: &Processes, measure: impl FnOnce() -> Duration) -> Self {
        let before = processes.cpu();
        let time = measure();
        let spent = processes.cpu_at_rest().saturating_sub(before);
        Self {
            cpu: Some(spent.as_secs_f64() * 1e6 / count(messages)),
            ..Self::rate(messages, time)
        }
    }
}

/// A whole number as a value.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// All turns of one contestant.
#[derive(Debug, Clone)]
pub struct Series {
    /// The contestant.
    pub who: String,
    /// In the row's unit, by round.
    pub values: Vec<f64>,
    /// µs a message, by round; empty where it isn't counted.
    pub cpu: Vec<f64>,
}

impl Series {
    /// What was measured once.
    pub fn once(who: &str, value: f64) -> Self {
        Self { who: who.to_owned(), values: vec![value], cpu: Vec::new() }
    }
}

/// One of those that are compared.
pub struct Contestant<'a> {
    who: String,
    turn: Box<dyn FnMut() -> Turn + 'a>,
}

impl<'a> Contestant<'a> {
    /// Each turn is `turn`.
    pub fn new(who: &str, turn: impl FnMut() -> Turn + 'a) -> Self {
        Self { who: who.to_owned(), turn: Box::new(turn) }
    }

    /// Each turn is `turn` with a number of messages that takes about as long as this run wants; a
    /// first one is for warming up, a second one to find that number.
    pub fn paced(world: &World, who: &str, turn: impl Fn(usize) -> Turn + 'a) -> Self {
        let seconds = world.turn().as_secs_f64();
        let for_time = |rate: f64, seconds: f64| -> usize {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate is positive and below 10^6"
            )]
            let messages = (rate * seconds) as usize;
            messages.max(LEAST)
        };
        let first = turn(FIRST);
        let second = turn(for_time(first.value, seconds / 2.0));
        let messages = for_time(second.value, seconds);
        Self::new(who, move || turn(messages))
    }
}

/// Lets each have its turn, so often.
pub fn by_turns(rounds: usize, contestants: &mut [Contestant<'_>]) -> Vec<Series> {
    let empty =
        |one: &Contestant| Series { who: one.who.clone(), values: Vec::new(), cpu: Vec::new() };
    let mut all: Vec<Series> = contestants.iter().map(empty).collect();
    for _ in 0..rounds {
        for (contestant, series) in contestants.iter_mut().zip(&mut all) {
            let turn = (contestant.turn)();
            series.values.push(turn.value);
            series.cpu.extend(turn.cpu);
        }
    }
    all
}
