//! Replaces a host: another AMI, the same data volume, the same address. The old instance is kept, shut down, until the new
//! one has answered with the certificate that is on the data volume; until then the way back is open.
//!
//! | step | done already |
//! |---|---|
//! | new instance | the client token, written down before the call, gives the same one |
//! | old instance shut down, data volume | it is attached to the new instance, see `moving` |
//! | Elastic IP | it says that it is the new instance's |
//! | the API answers | is asked again |
//! | old instance terminated | it is gone |
//!
//! The way back is the same with the two instances exchanged. A spot instance cannot be shut down and kept: it is terminated
//! where another would be shut down, so that there is no way back from there.

use super::journal::{New, Replace};
use super::wish::Choice;
use super::{LaunchError, Site, Up, replaces, waits_for_volume};
use crate::aws::{Ami, Instance, Kind, NewInstance};
use crate::names;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the new instance.
    Forward,
    /// To the old one.
    Back,
}

impl Site<'_> {
    /// Replaces the host, or goes on with it, or back.
    ///
    /// # Errors
    /// [`LaunchError`]. The same call again goes on from where this one stopped.
    pub async fn replace(&self, choice: &Choice, to: Direction) -> Result<Up, LaunchError> {
        let _claim = self.journals.claim()?;
        match (self.under_way_to(to).await?, to) {
            (Some(journal), Direction::Forward) if journal.back => Err(LaunchError::Conflict {
                what: format!("{} is on its way back to {}", self.host, journal.old),
                hint: format!("`{} --back` finishes that", self.again()),
            }),
            (Some(journal), Direction::Forward) => {
                self.ui.note(&format!("going on with the replacement of {}", journal.old));
                self.forward(journal).await
            }
            (Some(journal), Direction::Back) => self.back(journal).await,
            (None, Direction::Back) => {
                let found = self.found_half_way().await?;
                self.back(found.ok_or_else(|| self.nothing_to_go_back_from())?).await
            }
            (None, Direction::Forward) => {
                if let Some(journal) = self.found_half_way().await? {
                    return self.forward(journal).await;
                }
                let (old, ami) = self.what_for_what(choice).await?;
                if old.ami == ami.id {
                    return self.finished(old).await;
                }
                let journal = self.replacement(&old, ami).await?;
                // Before the call: its token must survive what happens during it.
                self.journals.keep_replace(Some(&journal))?;
                self.forward(journal).await
            }
        }
    }

    /// A host that has the AMI already. Where it has just got it, at another computer, which then broke off, something may be
    /// left to do.
    async fn finished(&self, instance: Instance) -> Result<Up, LaunchError> {
        self.ui.note(&format!("{} has {} already", self.host, instance.ami));
        let volume = instance.volume.as_ref().ok_or_else(|| self.no_volume(&instance.id))?;
        self.give_volume(volume, &instance.id, None).await?;
        if let Some(address) = self.aws.addresses(self.host).await?.first() {
            self.give_address(address, &instance.id).await?;
        }
        let known = self.known()?.map(|known| known.fingerprint);
        Ok(Up { existing: true, ..self.arrive(&instance.id, known).await? })
    }

    /// The replacement that was begun here and can be gone on with.
    async fn under_way_to(&self, to: Direction) -> Result<Option<Replace>, LaunchError> {
        let journal = self.journals.replace()?;
        if let (Some(Replace { new: New::Made(id), back: false, .. }), Direction::Forward) = (&journal, to) {
            let state = self.aws.instance(id).await?.map(|instance| instance.state);
            if state.is_some_and(|state| state == "terminated" || state == "shutting-down") {
                // Its client token would only ever give the same dead instance.
                self.ui.note(&format!("{id}, which an earlier run made, is gone; beginning anew"));
                self.journals.keep_replace(None)?;
                return Ok(None);
            }
        }
        Ok(journal)
    }

    /// A replacement that was begun on another computer: the new instance tells by its tag which one it replaces, and the
    /// data volume is at one of the two or, by its tag, free.
    async fn found_half_way(&self) -> Result<Option<Replace>, LaunchError> {
        let all = self.aws.instances(Some(self.host)).await?;
        let old_of = |new: &Instance| all.iter().find(|old| replaces(new) == Some(&old.id));
        let (new, old) = match all.iter().find_map(|new| Some((new, old_of(new)?))) {
            Some((new, old)) => (new, Some(old)),
            // A spot instance is gone before the new one has its volume.
            None => match &all[..] {
                [new] if waits_for_volume(new) => (new, None),
                _ => return Ok(None),
            },
        };
        let held = old.and_then(|old| old.volume.clone()).or_else(|| new.volume.clone());
        let free = self.aws.free_volumes(self.host).await?.into_iter().next().map(|volume| volume.id);
        let old = old.map(|old| old.id.as_str()).or(replaces(new)).unwrap_or_default().to_owned();
        self.ui.note(&format!("going on with the replacement of {old} by {}, begun elsewhere", new.id));
        Ok(Some(Replace {
            volume: held.or(free).ok_or_else(|| self.no_volume(&old))?,
            old,
            new: New::Made(new.id.clone()),
            address: self.aws.addresses(self.host).await?.into_iter().next().map(|address| address.id),
            fingerprint: self.known()?.map(|known| known.fingerprint),
            back: false,
        }))
    }

    /// The instance that is replaced, and the AMI of the one that takes its place.
    pub(super) async fn what_for_what(&self, choice: &Choice) -> Result<(Instance, Ami), LaunchError> {
        Ok((self.the_instance().await?, self.ami(choice).await?))
    }

    /// All that is needed to go on, and back.
    async fn replacement(&self, old: &Instance, ami: Ami) -> Result<Replace, LaunchError> {
        // Free, if an earlier replacement ended in the middle, which had shut the old one down.
        let free = match old.state.as_str() {
            "stopped" => self.aws.free_volumes(self.host).await?.into_iter().next(),
            _ => None,
        };
        let volume =
            old.volume.clone().or(free.map(|volume| volume.id)).ok_or_else(|| self.no_volume(&old.id))?;
        let address = self.aws.addresses(self.host).await?.into_iter().next();
        Ok(Replace {
            old: old.id.clone(),
            new: New::Asked(Box::new(NewInstance {
                token: names::token(),
                ami: ami.id,
                root_device: ami.root_device,
                kind: old.kind.clone(),
                subnet: old.subnet.clone(),
                groups: old.groups.clone(),
                key: old.key.clone(),
                profile: old.profile.clone(),
                user_data: self.aws.user_data_of(&old.id).await?,
                data_gib: None,
                spot: old.spot,
                replaces: Some(old.id.clone()),
            })),
            volume,
            address: address.map(|address| address.id),
            fingerprint: self.known()?.map(|known| known.fingerprint),
            back: false,
        })
    }

    async fn forward(&self, mut journal: Replace) -> Result<Up, LaunchError> {
        let new = self.new_instance(&mut journal).await?;
        self.ui.note(&format!("{new} takes the place of {}", journal.old));
        let up = self.hand_over(&journal, &new, Some(&journal.old)).await.map_err(|error| {
            // Until the old one is gone, whatever goes wrong can be gone back from.
            error.amidst(format!(
                "as long as {} is there, `{} --back` goes back to it",
                journal.old,
                self.again()
            ))
        })?;
        self.terminated(&journal.old).await?;
        self.journals.keep_replace(None)?;
        Ok(up)
    }

    async fn new_instance(&self, journal: &mut Replace) -> Result<String, LaunchError> {
        let asked = match &journal.new {
            New::Made(id) => return Ok(id.clone()),
            New::Asked(asked) => asked,
        };
        match self.aws.run_instance(self.host, asked).await {
            Ok(id) => {
                journal.new = New::Made(id.clone());
                self.journals.keep_replace(Some(journal))?;
                Ok(id)
            }
            Err(fault) => {
                // Nothing was made, and what AWS refuses once it refuses again.
                if fault.kind == Kind::Refused {
                    self.journals.keep_replace(None)?;
                }
                Err(fault.into())
            }
        }
    }

    /// The new instance, if there is one: it may have been made without our being told.
    async fn made(&self, new: &New) -> Result<Option<String>, LaunchError> {
        let asked = match new {
            New::Made(id) => return Ok(Some(id.clone())),
            New::Asked(asked) => asked,
        };
        let all = self.aws.instances(Some(self.host)).await?;
        Ok(all.into_iter().find(|instance| instance.token == asked.token).map(|instance| instance.id))
    }

    async fn back(&self, mut journal: Replace) -> Result<Up, LaunchError> {
        let old = self.aws.instance(&journal.old).await?;
        if old.is_none_or(|old| ["terminated", "shutting-down"].contains(&old.state.as_str())) {
            return Err(LaunchError::Conflict {
                what: format!("{} is gone already: there is no way back", journal.old),
                hint: format!("`{}` finishes the replacement; then replace with the earlier AMI", self.again()),
            });
        }
        journal.back = true;
        self.journals.keep_replace(Some(&journal))?;
        self.ui.note(&format!("going back to {}", journal.old));
        let new = self.made(&journal.new).await?;
        let up = self.hand_over(&journal, &journal.old, new.as_deref()).await?;
        if let Some(new) = &new {
            self.terminated(new).await?;
        }
        self.journals.keep_replace(None)?;
        Ok(up)
    }

    /// Gives volume and address from one instance to the other, which then answers.
    async fn hand_over(&self, journal: &Replace, to: &str, from: Option<&str>) -> Result<Up, LaunchError> {
        self.give_volume(&journal.volume, to, from).await?;
        if let Some(id) = &journal.address {
            let found = self.aws.addresses(self.host).await?.into_iter().find(|address| address.id == *id);
            let address = found.ok_or_else(|| LaunchError::Conflict {
                what: format!("the Elastic IP {id} is not there any more, or has lost the tag kennel:host"),
                hint: "give it the tag again, then run the same command again".to_owned(),
            })?;
            self.give_address(&address, to).await?;
        }
        self.arrive(to, journal.fingerprint).await
    }

    fn no_volume(&self, old: &str) -> LaunchError {
        LaunchError::Conflict {
            what: format!("{old} has no data volume"),
            hint: format!(
                "look for it: `aws ec2 describe-volumes --filters Name=tag:kennel:host,Values={}`",
                self.host
            ),
        }
    }

    fn nothing_to_go_back_from(&self) -> LaunchError {
        LaunchError::Conflict {
            what: format!("no replacement of {} is under way", self.host),
            hint: format!(
                "to go back to an earlier version, replace with its AMI: `{} --ami ami-…`",
                self.again()
            ),
        }
    }

    /// The command, as it is typed.
    fn again(&self) -> String {
        format!("kennel host replace {} --region {}", self.host, self.aws.region())
    }
}
