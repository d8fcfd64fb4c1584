//! `kennel runtimes` and `kennel tenant move`: what programs can run on, and the way from one to another.

use kennel_model::api::{Move, Moved, RuntimeUse};
use kennel_model::{RuntimeName, TenantName};

use super::{Context, tenant_path};
use crate::exit::Failure;
use crate::ui::table;

pub(super) async fn runtimes(context: &Context) -> Result<(), Failure> {
    let runtimes: Vec<RuntimeUse> = context.client()?.get("/v1/runtimes").await?;
    Ok(context.ui.result(&runtimes, |runtimes| words(runtimes))?)
}

pub(super) async fn move_to(context: &Context, name: &TenantName, runtime: RuntimeName) -> Result<(), Failure> {
    let label = format!("moving {name} to {runtime}, when what serves has shown that it runs there");
    let path = format!("{}/move", tenant_path(name));
    let done: Moved = context.change(&path, &Move { runtime }, &label).await?;
    Ok(context.ui.result(&done, moved)?)
}

fn words(runtimes: &[RuntimeUse]) -> String {
    let rows: Vec<[String; 3]> = runtimes
        .iter()
        .map(|of| {
            let names: Vec<&str> = of.tenants.iter().map(TenantName::as_str).collect();
            let version = if of.version.is_empty() { "-".to_owned() } else { of.version.clone() };
            [of.name.to_string(), version, if names.is_empty() { "-".to_owned() } else { names.join(" ") }]
        })
        .collect();
    table(["RUNTIME", "VERSION", "TENANTS"], &rows)
}

fn moved(Moved { from, release, tenant }: &Moved) -> String {
    let name = &tenant.name;
    match release {
        Some(release) => format!(
            "release {} of {name} serves on {}\n  `kennel rollback {name}` leads back to {from}\n",
            release.id, tenant.runtime
        ),
        None => format!(
            "the first release of {name} will run on {}\nnext: kennel deploy {name} FOLDER\n",
            tenant.runtime
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_lines_with_whoever_is_on_them() {
        let of = |name: &str, version: &str, tenants: &[&str]| RuntimeUse {
            name: name.parse().unwrap(),
            version: version.into(),
            jit: false,
            tenants: tenants.iter().map(|name| name.parse().unwrap()).collect(),
        };
        let text = words(&[of("node-24", "24.1.0", &["blog", "shop"]), of("static", "", &[])]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["RUNTIME", "VERSION", "TENANTS"]);
        assert_eq!(lines[1..], [vec!["node-24", "24.1.0", "blog", "shop"], vec!["static", "-", "-"]]);
    }
}
