//! Launches a host. Nothing is remembered of how far it is: each step finds out whether it is done, so that the same command
//! goes on wherever it was interrupted.
//!
//! | step | done already |
//! |---|---|
//! | security group | there is one of its name, with all the rules |
//! | instance | the client token, written down before the call, gives the same one |
//! | data volume of an earlier host | it is attached to the instance |
//! | Elastic IP | there is one with the host's tag; it is the instance's |
//! | known here | the book is written again, which does no harm |

use super::journal::Launch;
use super::wish::{Choice, Place, Wish};
use super::{LaunchError, Site, Up, waits_for_volume, whoami};
use crate::aws::{Instance, Kind, NewInstance};
use crate::names;

impl Site<'_> {
    /// Launches the host, goes on with it, or finds that it is up.
    ///
    /// # Errors
    /// [`LaunchError`]. The same call again goes on from where this one stopped.
    pub async fn launch(&self, wish: &Wish) -> Result<Up, LaunchError> {
        let _claim = self.journals.claim()?;
        if let Some(journal) = self.under_way(wish).await? {
            self.ui.note(&format!("going on with the launch of {}", self.host));
            return self.go_on(journal).await;
        }
        if let Some(instance) = self.instance().await? {
            return self.adopt(instance, wish).await;
        }
        let place = self.place(wish).await?;
        let journal = self.prepare(wish, place).await?;
        // Before the call: its token must survive what happens during it.
        self.journals.keep_launch(Some(&journal))?;
        self.go_on(journal).await
    }

    /// The launch that was begun here and can be gone on with.
    async fn under_way(&self, wish: &Wish) -> Result<Option<Launch>, LaunchError> {
        let Some(journal) = self.journals.launch()? else { return Ok(None) };
        if let Some(id) = &journal.instance {
            let state = self.aws.instance(id).await?.map(|instance| instance.state);
            if state.is_some_and(|state| state == "terminated" || state == "shutting-down") {
                self.ui.note(&format!("{id}, which an earlier run made, is gone; beginning anew"));
                self.journals.keep_launch(None)?;
                return Ok(None);
            }
        }
        if journal.wish == *wish {
            return Ok(Some(journal));
        }
        let (host, region) = (self.host, self.aws.region());
        Err(LaunchError::Conflict {
            what: format!("a launch of {host} with other options is under way"),
            hint: format!(
                "repeat the options of the first time, or give it up: `kennel host terminate {host} --region {region}`"
            ),
        })
    }

    /// All that the instance needs before it is made.
    async fn prepare(&self, wish: &Wish, place: Place) -> Result<Launch, LaunchError> {
        let api_from = match &wish.api_from {
            Some(network) => network.clone(),
            None => {
                let (network, who) = whoami::my_network().await?;
                self.ui.note(&format!("the API will be open to {network}, which is this computer, says {who}"));
                network
            }
        };
        let group = self.group(&place.subnet.vpc, &api_from).await?;
        self.ui.note(&format!(
            "launching {} ({}) as {} in {}",
            place.ami.id, place.ami.name, wish.kind, place.subnet.zone
        ));
        let volume = place.volume.map(|volume| volume.id);
        Ok(Launch {
            wish: wish.clone(),
            new: NewInstance {
                token: names::token(),
                ami: place.ami.id,
                root_device: place.ami.root_device,
                kind: wish.kind.clone(),
                subnet: place.subnet.id,
                groups: vec![group],
                key: wish.key.clone(),
                profile: wish.profile.clone(),
                user_data: place.user_data,
                data_gib: volume.is_none().then_some(wish.data_gib),
                spot: wish.spot,
                replaces: None,
            },
            instance: None,
            volume,
        })
    }

    async fn go_on(&self, mut journal: Launch) -> Result<Up, LaunchError> {
        let id = match &journal.instance {
            Some(id) => id.clone(),
            None => match self.aws.run_instance(self.host, &journal.new).await {
                Ok(id) => id,
                Err(fault) => {
                    // What AWS refuses once it refuses again: the next run must not repeat it word for word.
                    if fault.kind == Kind::Refused {
                        self.journals.keep_launch(None)?;
                    }
                    return Err(LaunchError::from(fault).amidst(format!(
                        "the security group {} stays, which costs nothing: the next launch uses it, `kennel host \
                         terminate {} --region {}` removes it",
                        names::group(self.host),
                        self.host,
                        self.aws.region()
                    )));
                }
            },
        };
        journal.instance = Some(id.clone());
        self.journals.keep_launch(Some(&journal))?;
        self.ui.note(&format!("{id} is {}", self.host));
        match &journal.volume {
            Some(volume) => self.give_volume(volume, &id, None).await?,
            None => self.running(&id).await?,
        };
        let up = self.finish(&id, &journal.wish).await?;
        self.journals.keep_launch(None)?;
        Ok(up)
    }

    async fn finish(&self, id: &str, wish: &Wish) -> Result<Up, LaunchError> {
        if wish.elastic_ip {
            let address = self.own_address().await?;
            self.give_address(&address, id).await?;
        }
        self.arrive(id, None).await
    }

    /// A host of this name that is there already, launched from another computer, or before: it is made known here, and its
    /// API opened to this computer, if it is what was asked for.
    async fn adopt(&self, instance: Instance, wish: &Wish) -> Result<Up, LaunchError> {
        if waits_for_volume(&instance) {
            return Err(self.half_way());
        }
        let other_ami = matches!(&wish.ami, Choice::Id(id) if *id != instance.ami);
        if other_ami || wish.kind != instance.kind || wish.spot != instance.spot {
            return Err(LaunchError::Conflict {
                what: format!(
                    "{} is there already, and not as asked for: {} is a{} {} with {}",
                    self.host,
                    instance.id,
                    if instance.spot { " spot" } else { "" },
                    instance.kind,
                    instance.ami
                ),
                hint: format!("choose another name, or `kennel host replace {}` for another AMI", self.host),
            });
        }
        self.ui.note(&format!("{} is there already: {}", self.host, instance.id));
        if let Some(network) = &wish.api_from {
            let subnets = self.aws.subnets(Some(&instance.subnet), None).await?;
            if let Some(subnet) = subnets.first() {
                self.group(&subnet.vpc, network).await?;
            }
        }
        // What this computer knows already need not be on the console any more.
        let known = self.known()?.map(|known| known.fingerprint);
        self.running(&instance.id).await?;
        if wish.elastic_ip {
            let address = self.own_address().await?;
            self.give_address(&address, &instance.id).await?;
        }
        Ok(Up { existing: true, ..self.arrive(&instance.id, known).await? })
    }
}
