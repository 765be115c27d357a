//! Random histories: real ones of a register must pass, and on small ones of any kind the search must agree with the
//! one that tries every order.

use crate::is_good;
use histories::{Answer, Call, Operation};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn call(random: &mut Random, values: u64) -> Call {
    match random.below(4) {
        0 => Call::Get,
        1 => Call::Put(random.below(values)),
        2 => Call::Delete,
        _ => {
            let from = random.below(values + 1);
            Call::Swap((from < values).then_some(from), random.below(values))
        }
    }
}

fn answer(call: Call, state: Option<u64>) -> Answer {
    match call {
        Call::Get => Answer::Value(state),
        Call::Put(_) => Answer::Before(state),
        Call::Swap(from, _) if from == state => Answer::Swapped(true),
        Call::Swap(..) => Answer::Found(state),
        Call::Delete => Answer::Deleted(state.is_some()),
    }
}

/// What `clients` see of a register whose operations take effect at one moment between call and answer.
fn real(random: &mut Random, clients: u64, count: u64) -> Vec<Operation> {
    let mut moments: Vec<(u64, u64, u64, u64)> = Vec::new();
    for client in 0..clients {
        let mut time = random.below(20);
        for _ in 0..count / clients {
            let began = time;
            let effect = began + random.below(30);
            let ended = effect + random.below(30);
            time = ended + 1 + random.below(10);
            moments.push((effect, began, ended, client));
        }
    }
    moments.sort_unstable();
    let mut state = None;
    let mut history = Vec::new();
    for (_, began, ended, client) in moments {
        let call = call(random, 5);
        let answer = answer(call, state);
        let known = random.below(20) > 0;
        let happens = known || random.below(2) == 0;
        if happens {
            state = call.step(state, None).unwrap_or(state);
        }
        history.push(Operation {
            client,
            key: "k".to_owned(),
            call,
            began,
            ended: known.then_some((ended, answer)),
        });
    }
    history
}

#[test]
fn what_a_register_gives_is_linearizable() {
    for seed in 0..200 {
        let history = real(&mut Random(seed), 5, 300);
        assert!(is_good(&history), "seed {seed}");
    }
}

/// Tries every order of every subset that holds at least what was answered.
fn by_force(history: &[Operation], taken: u32, state: Option<u64>) -> bool {
    let open = |n: usize| taken & (1 << n) == 0;
    if (0..history.len()).all(|n| !open(n) || history[n].ended.is_none()) {
        return true;
    }
    let first_end = (0..history.len())
        .filter(|n| open(*n))
        .filter_map(|n| history[n].ended.map(|(ended, _)| ended))
        .min();
    (0..history.len()).any(|n| {
        let operation = &history[n];
        open(n)
            && first_end.is_none_or(|end| operation.began <= end)
            && operation
                .call
                .step(state, operation.ended.map(|(_, answer)| answer))
                .is_some_and(|next| by_force(history, taken | 1 << n, next))
    })
}

#[test]
fn on_small_histories_both_searches_agree() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..20_000 {
        let random = &mut Random(seed);
        let mut history = real(random, 3, 6);
        // Something is wrong with one of the answers, perhaps.
        let victim = random.below(history.len() as u64) as usize;
        let state = [None, Some(0), Some(1), Some(2)][random.below(4) as usize];
        let call = history[victim].call;
        if let Some((_, told)) = &mut history[victim].ended {
            *told = answer(call, state);
        }
        let expected = by_force(&history, 0, None);
        let text: Vec<String> = history.iter().map(ToString::to_string).collect();
        assert_eq!(is_good(&history), expected, "seed {seed}\n{}", text.join("\n"));
        match expected {
            true => good += 1,
            false => bad += 1,
        }
    }
    assert!(good > 2000 && bad > 2000, "{good} good, {bad} bad");
}
