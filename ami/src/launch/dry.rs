//! Dry runs: look at what is there, and list every call that would be made from here on, with what comes to cost.

use serde::Serialize;

use super::wish::{Choice, Place, Wish};
use super::{LaunchError, Site};
use crate::aws::table::Call;
use crate::bill::Bill;

/// Hours in a month, as AWS counts them.
const HOURS: f64 = 730.0;
/// Dollars for a GiB of gp3 for a month (us-east-1).
const GIB: f64 = 0.08;
/// Dollars for a public IPv4 address for an hour.
const ADDRESS: f64 = 0.005;
/// Dollars an hour for instance types that hosts are usually launched as (us-east-1, on demand).
const HOURLY: &[(&str, f64)] = &[
    ("t3.nano", 0.0052),
    ("t3.micro", 0.0104),
    ("t3.small", 0.0208),
    ("t3.medium", 0.0416),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3.2xlarge", 0.3328),
    ("t3a.nano", 0.0047),
    ("t3a.micro", 0.0094),
    ("t3a.small", 0.0188),
    ("t3a.medium", 0.0376),
    ("t3a.large", 0.0752),
    ("m6i.large", 0.096),
    ("m7i.large", 0.1008),
    ("c6i.large", 0.085),
    ("c7i.large", 0.08925),
];

/// What would be done, and what it comes to.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The calls.
    #[serde(flatten)]
    pub bill: Bill,
    /// The AMI.
    pub ami: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The availability zone.
    pub zone: String,
    /// The user-data.
    pub user_data: String,
    /// Dollars a month for the instance on demand, if this program knows its price.
    pub instance_per_month: Option<f64>,
    /// Dollars a month for volumes and address.
    pub rest_per_month: f64,
}

impl Site<'_> {
    /// What [`Site::launch`] would do, were nothing of the host there yet.
    ///
    /// # Errors
    /// [`LaunchError`]; [`LaunchError::Conflict`], when something is there.
    pub async fn dry_launch(&self, wish: &Wish) -> Result<Plan, LaunchError> {
        if let Some(instance) = self.instance().await? {
            return Err(LaunchError::Conflict {
                what: format!("{} is there already: {}", self.host, instance.id),
                hint: "without --dry-run it is made known here".to_owned(),
            });
        }
        let place = self.place(wish).await?;
        let mut bill = Bill::default();
        bill.add(Call::DescribeInstances, 1, "is it there already?");
        if let Choice::Parameter(_) = wish.ami {
            bill.add(Call::GetParameter, 1, "which AMI?");
        }
        bill.add(Call::DescribeImages, 1, &format!("{}: {}", place.ami.id, place.ami.name));
        bill.add(Call::DescribeVolumes, 1, "is there a data volume of an earlier host of this name?");
        bill.add(Call::DescribeSubnets, 1, &format!("{} in {}", place.subnet.id, place.subnet.zone));
        if wish.key.is_some() {
            bill.add(Call::DescribeKeyPairs, 1, "can the key pair sign in?");
        }
        bill.add(Call::DescribeSecurityGroups, 2, "is there a security group already?");
        bill.add(Call::CreateSecurityGroup, 1, &format!("kennel-{} in {}", self.host, place.subnet.vpc));
        bill.add(Call::AuthorizeSecurityGroupIngress, 1, &self.rules(wish));
        bill.add(Call::RunInstances, 1, &what(wish));
        bill.add(Call::DescribeInstances, 2, "wait until it runs");
        if let Some(volume) = &place.volume {
            add_attach(&mut bill, &volume.id);
        }
        if wish.elastic_ip {
            bill.add(Call::DescribeAddresses, 1, "is there an Elastic IP already?");
            bill.add(Call::AllocateAddress, 1, "get one");
            bill.add(Call::AssociateAddress, 1, "give it to the instance");
        }
        bill.add(Call::GetConsoleOutput, 1, "wait until the console tells the certificate");
        Ok(plan(bill, wish, place))
    }

    fn rules(&self, wish: &Wish) -> String {
        let from = wish.api_from.as_deref().unwrap_or("this computer's address");
        format!("80 and 443 from everywhere, 8443 from {from}")
    }

    /// What [`Site::replace`] would do.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub async fn dry_replace(&self, choice: &Choice) -> Result<Bill, LaunchError> {
        let (old, ami) = self.what_for_what(choice).await?;
        let mut bill = Bill::default();
        bill.add(Call::DescribeInstances, 1, &format!("{} is replaced", old.id));
        if let Choice::Parameter(_) = choice {
            bill.add(Call::GetParameter, 1, "which AMI?");
        }
        bill.add(Call::DescribeImages, 1, &format!("{}: {}", ami.id, ami.name));
        if old.ami == ami.id {
            return Ok(bill);
        }
        bill.add(Call::DescribeAddresses, 2, "is there an Elastic IP?");
        bill.add(Call::DescribeInstanceAttribute, 1, "its user-data");
        let spot = if old.spot { "spot " } else { "" };
        bill.add(Call::RunInstances, 1, &format!("{spot}{} with {}", old.kind, ami.id));
        bill.add(Call::DescribeInstances, 2, "wait until it runs");
        let end = if old.spot { Call::TerminateInstances } else { Call::StopInstances };
        bill.add(end, 1, &format!("shut down {}: the host is away from here on", old.id));
        if !old.spot {
            bill.add(Call::DetachVolume, 1, "take the data volume from it");
        }
        add_attach(&mut bill, old.volume.as_deref().unwrap_or("the data volume"));
        bill.add(Call::AssociateAddress, 1, "give the Elastic IP to the new one, if there is one");
        if !old.spot {
            bill.add(Call::TerminateInstances, 1, &format!("{}, when the new one has answered", old.id));
        }
        Ok(bill)
    }
}

impl Plan {
    /// As a table for people.
    pub fn lines(&self) -> String {
        let instance = match self.instance_per_month {
            Some(dollars) => format!("${dollars:.2}"),
            None => "(price not known here)".to_owned(),
        };
        format!(
            "{}user-data:\n  {}\nfrom then on, a month: {} {instance}, volumes and address ${:.2} (prices of us-east-1; spot is cheaper; traffic not counted)",
            self.bill.lines(),
            self.user_data.trim_end().replace('\n', "\n  "),
            self.kind,
            self.rest_per_month
        )
    }
}

fn plan(bill: Bill, wish: &Wish, place: Place) -> Plan {
    let hourly = HOURLY.iter().find(|(kind, _)| *kind == wish.kind).map(|(_, dollars)| dollars);
    let data = place.volume.as_ref().map_or(wish.data_gib, |volume| volume.gib);
    // The root volume is as small as the image.
    let gib = f64::from(data) + 1.0;
    Plan {
        bill,
        ami: place.ami.id,
        kind: wish.kind.clone(),
        zone: place.subnet.zone,
        user_data: place.user_data,
        instance_per_month: hourly.map(|dollars| dollars * HOURS),
        rest_per_month: gib * GIB + ADDRESS * HOURS,
    }
}

fn what(wish: &Wish) -> String {
    let spot = if wish.spot { "spot " } else { "" };
    format!("{spot}{}, a data volume of {} GiB, metadata by version 2 only", wish.kind, wish.data_gib)
}

fn add_attach(bill: &mut Bill, volume: &str) {
    bill.add(Call::AttachVolume, 1, &format!("give it {volume}, for which it waits"));
    bill.add(Call::DescribeVolumes, 2, "wait until it has it");
}
