//! What changes instances: StopInstances, StartInstances, RebootInstances and TerminateInstances; and what they were
//! started with: DescribeInstanceAttribute.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::compute::{Instance, Phase};
use super::instances::{changes, missing, named};
use super::request::Request;
use super::xml::Xml;

/// What is done to instances.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Stop,
    Start,
    Reboot,
    Terminate,
}

/// That an instance is not in a state for that.
fn incorrect(id: &str, verb: &str) -> Refusal {
    let message = format!("The instance '{id}' is not in a state from which it can be {verb}.");
    Refusal::new(400, "IncorrectInstanceState", message)
}

/// Answers one of them: for all instances that are named, or for none.
pub(crate) fn act(request: &Request, account: &mut Account, act: Act) -> Answer {
    request.form.only(&["InstanceId", "Force", "Hibernate", "SkipOsShutdown"])?;
    let (ids, settle) = (request.form.list("InstanceId"), account.settle);
    if ids.is_empty() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter InstanceId"));
    }
    let compute = &mut account.region(&request.region).compute;
    for id in &ids {
        may(act, id, named(compute, id)?)?;
    }
    let (mut done, mut off) = (Vec::new(), Vec::new());
    for id in &ids {
        let instance = named(compute, id)?;
        let before = instance.phase;
        begin(act, instance, settle);
        off.extend(matches!(instance.phase, Phase::Stopping | Phase::ShuttingDown).then_some(id));
        done.push((id.clone(), before, instance.phase));
    }
    if let Some(machines) = &mut account.machines {
        off.into_iter().for_each(|id| machines.press(id));
    }
    if act == Act::Reboot {
        ids.iter().for_each(|id| account.power_on(&request.region, id));
        return Ok(Reply::done("RebootInstancesResponse"));
    }
    Ok(changes(
        match act {
            Act::Stop => "StopInstancesResponse",
            Act::Start => "StartInstancesResponse",
            _ => "TerminateInstancesResponse",
        },
        &done,
    ))
}

fn may(act: Act, id: &str, it: &Instance) -> Result<(), Refusal> {
    match (act, it.phase) {
        (Act::Terminate, _) if it.protected => {
            let message = format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
            );
            Err(Refusal::new(400, "OperationNotPermitted", message))
        }
        (Act::Terminate, _) => Ok(()),
        (Act::Stop, _) if it.spot => {
            let message = format!(
                "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request."
            );
            Err(Refusal::new(400, "UnsupportedOperation", message))
        }
        (Act::Stop, Phase::Running | Phase::Stopping | Phase::Stopped) => Ok(()),
        (Act::Stop, _) => Err(incorrect(id, "stopped")),
        (Act::Start, Phase::Stopped | Phase::Pending | Phase::Running) => Ok(()),
        (Act::Start, _) => Err(incorrect(id, "started")),
        (Act::Reboot, Phase::Running) => Ok(()),
        (Act::Reboot, _) => Err(incorrect(id, "rebooted")),
    }
}

/// What is as it should be already stays so.
fn begin(act: Act, it: &mut Instance, settle: u32) {
    let next = match (act, it.phase) {
        (Act::Stop, Phase::Running) => Phase::Stopping,
        (Act::Start, Phase::Stopped) => Phase::Pending,
        (Act::Terminate, phase) if phase != Phase::Terminated && phase != Phase::ShuttingDown => {
            Phase::ShuttingDown
        }
        _ => return,
    };
    it.phase = next;
    if act == Act::Start {
        it.launched = clock::now();
    }
    it.looks = settle;
    if act == Act::Terminate {
        let why = "Client.UserInitiatedShutdown";
        it.doom = Some((why.to_owned(), format!("{why}: User initiated shutdown")));
    }
}

/// Answers DescribeInstanceAttribute: the user-data, as it was sent.
pub(crate) fn attribute(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["InstanceId", "Attribute"])?;
    if request.form.need("Attribute")? != "userData" {
        let message = "of the attributes only userData is known here";
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    let id = request.form.need("InstanceId")?;
    let instance = named(&mut account.region(&request.region).compute, id)?;
    if instance.phase == Phase::Terminated {
        return Err(missing(id));
    }
    Ok(Reply::xml(Xml::document("DescribeInstanceAttributeResponse", |xml| {
        xml.text("instanceId", id).within("userData", |xml| xml.option("value", Some(&instance.user_data)))
    })))
}
