//! `make reliability`: what the account machine does in great numbers and in the long run, in virtual time.
//!
//! Prints the tables of `docs/reliability.md` and draws the plots beside it. `fleet BOXES` and `days SEEDS` run one part
//! alone; the same seed always tells the same story.

mod device;
mod fleet;
mod ninety_days;
mod plot;
mod provider;

use std::{env, fs, io, path::Path};

use fleet::{Kind, Outcome, SCENARIOS};
use ninety_days::{Days, Power};
use provider::PROVIDERS;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let number = |usual| arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let part = arguments.first().map_or("", String::as_str);
    if part != "days" {
        fleets(number(100_000))?;
    }
    if part != "fleet" {
        days(number(20));
    }
    Ok(())
}

fn fleets(boxes: usize) -> io::Result<()> {
    let folder = Path::new("docs/reliability");
    fs::create_dir_all(folder)?;
    println!("{boxes} boxes, seed {SEED}\n");
    println!(
        "| the boxes and their server | client | peak in a second | peak after the first minute | all served after | requests |"
    );
    println!("|---|---|--:|--:|--:|--:|");
    for scenario in SCENARIOS {
        let [naive, ours] = [Kind::Naive, Kind::Bearerd].map(|kind| fleet::run(scenario, kind, boxes, SEED));
        for (client, outcome) in [("naive", &naive), ("bearerd", &ours)] {
            println!("| {} | {client} | {} |", scenario.name, figures(outcome));
        }
        fs::write(folder.join(format!("fleet-{}.svg", scenario.file)), plot::draw(scenario.name, &naive, &ours))?;
    }
    println!();
    Ok(())
}

fn figures(outcome: &Outcome) -> String {
    let peak = |from| {
        let percent = outcome.peak(from).1;
        format!("{:.0} ({percent:.2} %)", percent * outcome.boxes as f64 / 100.0)
    };
    let served = outcome.served.map_or("never".into(), |second| format!("{second} s"));
    format!("{} | {} | {served} | {}", peak(0), peak(fleet::MINUTE), outcome.total())
}

fn days(seeds: usize) {
    println!("{seeds} boxes a server, ninety days each\n");
    println!(
        "| server | grace | refreshes | replies lost | grants lost | kills, suspends, clock steps | a token was there | grants lost with power cuts too |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for provider in PROVIDERS {
        let live = |power| (0..seeds as u64).map(move |seed| ninety_days::run(provider, power, seed));
        let days: Vec<_> = live(Power::Steady).collect();
        let sum = |what: fn(&Days) -> u64| days.iter().map(what).sum::<u64>();
        let grace = match provider.rotates {
            false => "not needed".into(),
            true if provider.forgives() => format!("{} s", provider.grace / 1000),
            true => "none".into(),
        };
        let lost = |days: &mut dyn Iterator<Item = Days>| days.filter(|days| days.lost).count();
        let (steady, cut) = (lost(&mut days.iter().cloned()), lost(&mut live(Power::Cut)));
        let trouble = sum(|days| days.kills) + sum(|days| days.suspends) + sum(|days| days.steps);
        let served = days.iter().map(|days| days.served).sum::<f64>() / seeds.max(1) as f64;
        println!(
            "| {} | {grace} | {} | {} | {steady} of {seeds} | {trouble} | {served:.2} % | {cut} of {seeds} |",
            provider.name,
            sum(|days| days.refreshes),
            sum(|days| days.lost_replies),
        );
    }
}

const SEED: u64 = 1;
