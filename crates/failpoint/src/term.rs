//! The language of terms: `sleep(100)`, `2*return("no space")->1%panic`.

use std::time::Duration;

/// What a point does: the first step whose conditions hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Debug)]
struct Step {
    /// How often it may still be taken.
    count: Option<u64>,
    /// Of a hundred.
    percent: Option<f64>,
    action: Action,
}

/// What is done at a point.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    Off,
    Return(String),
    Sleep(Duration),
    Panic(String),
    Print(String),
}

impl Terms {
    /// Reads a chain of terms.
    pub fn parse(text: &str) -> Result<Terms, String> {
        let text = text.trim();
        let steps = text.split("->").map(parse_step).collect::<Result<_, _>>()?;
        Ok(Terms {
            text: text.to_owned(),
            steps,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is to be done now; `chance` gives a number from 0 to 100.
    pub fn next(&mut self, mut chance: impl FnMut() -> f64) -> Action {
        for step in &mut self.steps {
            if step.count == Some(0) {
                continue;
            }
            if step.percent.is_some_and(|percent| chance() >= percent) {
                continue;
            }
            if let Some(count) = &mut step.count {
                *count -= 1;
            }
            return step.action.clone();
        }
        Action::Off
    }
}

fn parse_step(text: &str) -> Result<Step, String> {
    let mut rest = text.trim();
    let mut step = Step {
        count: None,
        percent: None,
        action: Action::Off,
    };
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let wrong = || format!("failpoint: could not parse {text:?}");
        match rest[digits..].chars().next() {
            Some('*') if digits > 0 => step.count = Some(rest[..digits].parse().map_err(|_| wrong())?),
            Some('%') if digits > 0 => step.percent = Some(rest[..digits].parse().map_err(|_| wrong())?),
            _ => break,
        }
        rest = &rest[digits + 1..];
    }
    step.action = parse_action(rest).ok_or_else(|| format!("failpoint: could not parse {text:?}"))?;
    Ok(step)
}

fn parse_action(text: &str) -> Option<Action> {
    let (name, value) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
        None => (text, ""),
    };
    let text = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?.replace("\\\"", "\""),
        None => value.to_owned(),
    };
    Some(match name {
        "off" => Action::Off,
        "return" => Action::Return(text),
        "panic" => Action::Panic(text),
        "print" => Action::Print(text),
        "sleep" => Action::Sleep(parse_pause(&text)?),
        _ => return None,
    })
}

/// A number of milliseconds, or one with a unit.
fn parse_pause(text: &str) -> Option<Duration> {
    if let Ok(milliseconds) = text.parse() {
        return Some(Duration::from_millis(milliseconds));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(text: &str, count: usize) -> Vec<Action> {
        let mut terms = Terms::parse(text).unwrap();
        (0..count).map(|_| terms.next(|| 50.0)).collect()
    }

    #[test]
    fn terms_are_read_as_gofail_reads_them() {
        let pause = |milliseconds| Action::Sleep(Duration::from_millis(milliseconds));
        assert_eq!(actions("sleep(100)", 1), [pause(100)]);
        assert_eq!(actions("sleep(\"1.5s\")", 1), [pause(1500)]);
        assert_eq!(actions("return", 1), [Action::Return(String::new())]);
        assert_eq!(
            actions("return(\"no space\")", 1),
            [Action::Return("no space".into())]
        );
        assert_eq!(
            actions("panic", 2),
            [Action::Panic("".into()), Action::Panic("".into())]
        );
        for wrong in [
            "",
            "sleep",
            "sleep(x)",
            "explode",
            "3*",
            "return(\"x\"",
            "sleep(1)->",
        ] {
            assert!(Terms::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_chain_goes_on_when_a_count_is_used_up_or_chance_is_against() {
        let once = Action::Return("once".into());
        assert_eq!(
            actions("1*return(\"once\")->2*off->panic", 4),
            [once, Action::Off, Action::Off, Action::Panic("".into())]
        );
        assert_eq!(actions("51%panic", 1), [Action::Panic("".into())]);
        assert_eq!(actions("50%panic", 1), [Action::Off]);
        assert_eq!(actions("2*50%panic->print", 1), [Action::Print("".into())]);
    }
}
