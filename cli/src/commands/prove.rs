//! `kennel prove`: the forbidden acts that can be tried without harm, tried on a live host, beside what the proof image
//! has shown of them. What the acts are is the table's business; what a probe does, the villain's.

use std::time::Duration;

use kennel_model::api::{Probe, Prove as Wish, ProveLine};
use kennel_model::proof::Layers;
use kennel_policy::isolation::{self, DONE, Mode, Row};
use serde::Serialize;

use super::Context;
use crate::args::Prove;
use crate::client::Documents;
use crate::exit::{Explain, Failure};
use crate::ui::{Spinner, table};

/// Deploying the probing program, or one probe, on a slow machine.
const STALL: Duration = Duration::from_secs(180);

/// An act that is forbidden succeeded.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the forbidden acts succeeded")]
struct Succeeded(usize);

impl Explain for Succeeded {
    fn code(&self) -> String {
        "not-proved".to_owned()
    }

    fn hint(&self) -> Option<String> {
        Some("take the host off the network, and report it: SECURITY.md says how".to_owned())
    }
}

/// The run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("the probes did not all run: {message}")]
struct BrokeOff {
    message: String,
    hint: Option<String>,
}

impl Explain for BrokeOff {
    fn code(&self) -> String {
        "probes-broke-off".to_owned()
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// The table that this program carries is checked by its tests.
impl Explain for isolation::BadTable {}

/// One row of the answer.
#[derive(Debug, Serialize)]
struct Tried {
    id: String,
    object: String,
    sentence: String,
    /// What refuses it without SELinux, and whether the proof image shows that it does so alone.
    dac: Means,
    /// The same of SELinux.
    mac: Means,
    /// What was met with here: an error's or signal's name, `held`, or `done`.
    result: String,
    detail: String,
    /// It was refused, or a limit held.
    held: bool,
}

/// One layer's part in refusing an act.
#[derive(Debug, Default, Serialize)]
struct Means {
    words: String,
    /// It refuses alone; otherwise the words say why it cannot.
    alone: bool,
}

impl Tried {
    /// A probe's result beside its row. A host may be newer than this program, and know rows that are not in its table.
    fn new(row: Option<&Row>, probe: Probe) -> Self {
        let means = |layers, words: fn(&Row) -> &String| match row.map(|row| (row, row.mode(layers))) {
            Some((row, Mode::Expect(_))) => Means { words: words(row).clone(), alone: true },
            Some((_, Mode::Argued(why))) => Means { words: why.to_owned(), alone: false },
            None => Means::default(),
        };
        Self {
            object: row.map_or_else(|| "others".to_owned(), |row| row.object.clone()),
            sentence: row.map_or_else(|| probe.id.clone(), |row| row.sentence.clone()),
            dac: means(Layers::DacOnly, |row| &row.dac),
            mac: means(Layers::MacOnly, |row| &row.mac),
            held: probe.result != DONE,
            id: probe.id,
            result: probe.result,
            detail: probe.detail,
        }
    }
}

pub(super) async fn prove(context: &Context, args: &Prove) -> Result<(), Failure> {
    let mut client = context.client()?;
    let wish = Wish { neighbour: args.neighbour.clone() };
    let mut spinner = context.ui.spinner("trying what is forbidden");
    let body = client.stream_of("/v1/host/prove", &wish).await?;
    let tried = listen(Documents::new(client.name().clone(), body), &mut spinner).await?;
    drop(spinner);
    context.ui.result(&tried, |tried| words(tried))?;
    match tried.iter().filter(|act| !act.held).count() {
        0 => Ok(()),
        count => Err(Succeeded(count).into()),
    }
}

/// Hears what every probe met with.
async fn listen(mut documents: Documents, spinner: &mut Spinner) -> Result<Vec<Tried>, Failure> {
    let table = isolation::table()?;
    let mut tried = Vec::new();
    loop {
        match documents.next(Some(STALL)).await? {
            Some(ProveLine::Begun { slot, .. }) => spinner.tick(&format!("from slot {slot}")),
            Some(ProveLine::Probe(probe)) => {
                spinner.tick(&probe.id);
                tried.push(Tried::new(table.row(&probe.id), probe));
            }
            Some(ProveLine::Done { probes }) if usize::try_from(probes) == Ok(tried.len()) => return Ok(tried),
            Some(ProveLine::Failed(problem)) => {
                return Err(BrokeOff { message: problem.message, hint: problem.hint }.into());
            }
            Some(ProveLine::Done { .. }) | None => {
                return Err(BrokeOff { message: "the answer is not whole".to_owned(), hint: None }.into());
            }
        }
    }
}

/// The table: under each object its acts, with what either layer can do alone and what was met with here.
fn words(tried: &[Tried]) -> String {
    let mut objects: Vec<&str> = Vec::new();
    for act in tried {
        if !objects.contains(&act.object.as_str()) {
            objects.push(&act.object);
        }
    }
    let mark = |means: &Means| if means.alone { "✓" } else { "–" }.to_owned();
    let mut text = String::new();
    for object in objects {
        let acts = tried.iter().filter(|act| act.object == object);
        let rows: Vec<[String; 4]> = acts
            .map(|act| {
                let here = if act.held { act.result.clone() } else { format!("DONE: {}", act.detail) };
                [mark(&act.dac), mark(&act.mac), here, act.sentence.clone()]
            })
            .collect();
        text.push_str(&table(["DAC", "MAC", "HERE", object], &rows));
        text.push('\n');
    }
    let held = tried.iter().filter(|act| act.held).count();
    text + &format!(
        "{held} of {} acts were refused here. ✓: the layer refuses it alone, as the proof image shows.\n",
        tried.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(id: &str, result: &str) -> Probe {
        Probe { id: id.into(), result: result.into(), detail: "it answered".into() }
    }

    #[test]
    fn rows_of_the_table_bring_their_words_and_marks() {
        let table = isolation::table().unwrap();
        for row in &table.rows {
            let tried = Tried::new(Some(row), probe(&row.id, "EACCES"));
            assert!(tried.held && tried.sentence == row.sentence && !tried.dac.words.is_empty(), "{}", row.id);
        }
        let unknown = Tried::new(None, probe("new-trick", "EPERM"));
        assert_eq!((unknown.sentence.as_str(), unknown.dac.alone), ("new-trick", false));
    }

    #[test]
    fn an_act_that_succeeded_cannot_be_overlooked() {
        let tried = [Tried::new(None, probe("a", "EPERM")), Tried::new(None, probe("b", "done"))];
        let text = words(&tried);
        assert!(text.contains("DONE: it answered") && text.contains("1 of 2 acts were refused here"), "{text}");
    }
}
