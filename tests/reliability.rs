//! The bars of `docs/reliability.md` on the account machine, at a size that every run can afford; `make reliability` runs
//! the whole.

#[path = "../examples/reliability/device.rs"]
mod device;
#[path = "../examples/reliability/fleet.rs"]
mod fleet;
#[path = "../examples/reliability/ninety_days.rs"]
mod ninety_days;
#[path = "../examples/reliability/provider.rs"]
mod provider;

use fleet::{Kind, MINUTE, SCENARIOS};
use ninety_days::Power;
use provider::PROVIDERS;

#[test]
fn a_fleet_that_comes_back_together_does_not_weigh_on_its_server() {
    for scenario in SCENARIOS {
        let ours = fleet::run(scenario, Kind::Bearerd, 5000, 7);
        let naive = fleet::run(scenario, Kind::Naive, 5000, 7);
        // A second of so few boxes holds more than its share by chance, where each asks several times.
        let bar = if scenario.gateway { 1.5 } else { 1.0 };
        let (second, peak) = ours.peak(MINUTE);
        assert!(peak <= bar, "{} ({}): {peak} % in second {second}", scenario.name, scenario.file);
        assert!(ours.most <= 1, "{}: a box refreshed {} times", scenario.name, ours.most);
        assert!(ours.served.is_some_and(|second| second <= 1800), "{}: {:?}", scenario.name, ours.served);
        assert!(
            naive.peak(0).1 > 5.0 && naive.served.is_some(),
            "{}: there is something to compare with",
            scenario.name
        );
        assert!(ours.total() <= naive.total() && ours.last() <= 1800, "{}: it comes to rest", scenario.name);
    }
}

#[test]
fn ninety_days_of_trouble_cost_no_grant_where_the_server_forgives() {
    for provider in PROVIDERS {
        // Five minutes' tokens make a long story.
        let seeds = if provider.lifetime < 600 { 1 } else { 2 };
        for (seed, power) in (0..seeds).flat_map(|seed| [(seed, Power::Steady), (seed, Power::Cut)]) {
            let days = ninety_days::run(provider, power, seed);
            let cut = days.dark && power == Power::Cut;
            assert!(!days.lost || cut || !provider.forgives(), "{}, seed {seed}: {days:?}", provider.name);
            assert!(days.lost || days.served > 99.0, "{}, seed {seed}: {days:?}", provider.name);
            let reboots = if power == Power::Cut { days.reboots } else { u64::MAX };
            let troubles = [days.kills, reboots, days.suspends, days.steps];
            assert!(days.lost || troubles.iter().all(|count| *count > 10), "{}: {days:?}", provider.name);
            assert!(days.lost || days.requests < days.refreshes * 13 / 10 + 20, "{}: {days:?}", provider.name);
        }
    }
}

#[test]
fn a_server_that_forgives_nothing_takes_the_grant() {
    let strict = PROVIDERS.into_iter().find(|provider| !provider.forgives()).expect("one of them");
    assert!(ninety_days::run(strict, Power::Steady, 0).lost, "the simulation can lose a grant");
    let mut forgetful = PROVIDERS[0];
    forgetful.idle_days = 0;
    assert!(ninety_days::run(forgetful, Power::Steady, 0).lost, "and by lying idle too");
}
