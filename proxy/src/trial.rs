//! Asks a program that is on trial whether it is ready, for control: beside the one that serves, at another port of its slot, and
//! without anything that its visitors would notice. What follows from the answer is control's business.

use std::sync::Arc;

use kennel_model::SlotId;
use kennel_model::msg::{FromProxy, RequestId};
use kennel_model::task::{Ask, Asked};

use crate::connect::{self, DialError};
use crate::shared::Shared;
use crate::{log, wake};

/// Asks once, and tells init.
pub(crate) async fn answer(shared: Arc<Shared>, id: RequestId, (slot, port): (SlotId, u16), ask: Ask) {
    let asked = asked(&shared, (slot, port), &ask).await;
    if let Err(e) = shared.init.send(&FromProxy::Asked(id, asked)).await {
        log::line(format_args!("cannot tell what slot {slot} answers on port {port}: {e}"));
    }
}

async fn asked(shared: &Shared, (slot, port): (SlotId, u16), ask: &Ask) -> Asked {
    // A message is init's word, and no more than that.
    if !slot.has_port(port) {
        return Asked::Refused;
    }
    let stream = match connect::dial(port, shared.limits.connect).await {
        Ok(stream) => stream,
        Err(DialError::Refused) => return Asked::Refused,
        Err(e) => {
            log::line(format_args!("slot {slot}, port {port}: {e}"));
            return Asked::Silent;
        }
    };
    let Some(path) = ask.path else { return Asked::Accepted };
    let answer = wake::ask(shared, slot, &ask.host, path, ask.protocol, (stream, port));
    let answer = tokio::time::timeout(shared.limits.ask, answer).await;
    answer.ok().flatten().map_or(Asked::Silent, Asked::Status)
}
