//! Both ends of the channel in one process.

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn slot(n: u16) -> SlotId {
    SlotId::new(n).unwrap()
}

fn event(n: u16, state: SlotState, reason: &str) -> SlotEvent {
    SlotEvent { slot: slot(n), state, from: Rung::Stopped, at_ms: 7, reason: reason.into() }
}

/// Both ends: control's handle with its task running, and init's end of the channel.
fn pair() -> (Init, Channel, tokio::task::JoinHandle<LinkError>) {
    let (ours, theirs) = Channel::pair().unwrap();
    let (init, link, _) = Init::new(ours).unwrap();
    (init, theirs, tokio::spawn(link.run()))
}

/// Init's next request, received without holding up the event loop.
async fn next(init: Channel) -> (FromControl, Channel) {
    tokio::task::spawn_blocking(move || (init.recv::<FromControl>().unwrap().unwrap().0, init)).await.unwrap()
}

fn reply(init: &Channel, id: RequestId, result: Result<ControlReply, Refusal>) {
    init.send(&ToControl::Reply { id, result }, &[]).unwrap();
}

#[tokio::test]
async fn answers_find_their_askers_in_any_order() {
    let (init, theirs, _task) = pair();
    let ask = |n| {
        let init = init.clone();
        tokio::spawn(async move { init.act(ControlRequest::Prepare(slot(n)), SOON).await })
    };
    let first = ask(1);
    let (a, theirs) = next(theirs).await;
    let second = ask(2);
    let (b, theirs) = next(theirs).await;
    assert_eq!(b.request, ControlRequest::Prepare(slot(2)));
    reply(&theirs, b.id, Ok(ControlReply::Done));
    reply(&theirs, a.id, Err(Refusal::Failed("no space".into())));
    second.await.unwrap().unwrap();
    assert_eq!(first.await.unwrap().unwrap_err().to_string(), "the host did not do it: no space");
}

#[tokio::test]
async fn a_late_answer_is_dropped_with_its_descriptors() {
    let (init, theirs, _task) = pair();
    let late = init.act(ControlRequest::Prepare(slot(1)), Duration::from_millis(1)).await;
    assert!(matches!(late, Err(InitError::Deadline(_))));
    let (asked, theirs) = next(theirs).await;
    let (mut reader, writer) = std::io::pipe().unwrap();
    theirs.send(&ToControl::Reply { id: asked.id, result: Ok(ControlReply::Done) }, &[writer.as_fd()]).unwrap();
    drop(writer);
    let end = tokio::task::spawn_blocking(move || std::io::Read::read(&mut reader, &mut [0])).await.unwrap();
    assert_eq!(end.unwrap(), 0, "the write end is closed");
}

#[tokio::test]
async fn events_and_status_make_one_picture() {
    let (init, theirs, _task) = pair();
    for event in [event(1, SlotState::Running, ""), event(2, SlotState::Failed, "exit 1 three times")] {
        theirs.send(&ToControl::Slot(event), &[]).unwrap();
    }
    let asking = tokio::spawn({
        let init = init.clone();
        async move { init.status().await }
    });
    let (asked, theirs) = next(theirs).await;
    let slots = vec![(slot(2), SlotState::Failed), (slot(3), SlotState::Stopping)];
    let status = HostStatus { slots, services: vec![], uptime_ms: 1, ..HostStatus::default() };
    reply(&theirs, asked.id, Ok(ControlReply::Status(Box::new(status.clone()))));
    assert_eq!(asking.await.unwrap().unwrap(), status);
    assert_eq!(init.slot(slot(1)), (SlotState::Stopped, None));
    assert_eq!(init.slot(slot(2)), (SlotState::Failed, Some("exit 1 three times".into())));
    assert_eq!(init.running(), [slot(3)]);
}

#[tokio::test]
async fn the_end_of_init_ends_the_task_and_all_waits() {
    let (init, theirs, task) = pair();
    let asking = tokio::spawn(async move { init.act(ControlRequest::Prepare(slot(1)), SOON).await });
    let (_, theirs) = next(theirs).await;
    drop(theirs);
    assert!(matches!(task.await.unwrap(), LinkError::Closed));
    assert!(matches!(asking.await.unwrap(), Err(InitError::Gone)));
}
