//! Answers about releases: a new one, what one holds, and what takes another into use.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::StatusCode;
use kennel_model::api::{Move, Promote, Rollback, Source};
use kennel_model::env::ChangeEnv;
use kennel_model::listing::{CHANGES, LISTING};
use kennel_model::{CommitId, Domain, RefName, ReleaseId, RuntimeName, TenantName};

use super::answers::{
    Answer, Asked, cut, gone, last_segment, media_type, note, number_of, read_of, undisturbed,
};
use super::body::{json, stream};
use super::paths::Endpoint;
use crate::control::Control;
use crate::deploy::{At, Wish};
use crate::error::{Error, Result};

/// A new release.
pub(super) async fn deploy(control: &Arc<Control>, name: TenantName, asked: Asked<'_>) -> Result<Answer> {
    let wish = wish(asked.head.uri.query())?;
    media_type(&asked.head.headers, if wish.onto.is_some() { CHANGES } else { "application/x-tar" })?;
    let (mut body, operator) = (asked.body.take().ok_or_else(gone)?, asked.operator);
    let act = |control: Arc<Control>| async move {
        let deployed = control.deploy(&name, &mut body, &wish, operator).await;
        Ok((deployed, body))
    };
    let (deployed, unread) = undisturbed(control, act).await?;
    *asked.body = Some(unread);
    let deployed = deployed?;
    note(asked.head).add(&deployed.release.id.to_string());
    Ok(json(StatusCode::CREATED, &deployed))
}

/// The words of a command in a query, `command=node&command=server.js`, the release that it builds on, `onto=7`, what it is to run
/// on, `runtime=node-24`, where it is only to be shown, that it is as it is to be, `build=no`, and the commit that it is made from, `commit=…&ref=refs/heads/main`.
fn wish(query: Option<&str>) -> Result<Wish> {
    let (mut wish, mut commit, mut named) = (Wish::default(), None, None);
    let bad = |invalid: kennel_model::InvalidId| Error::BadRequest(invalid.to_string());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "command" => wish.command.push(value.into_owned()),
            "onto" if wish.onto.is_none() => wish.onto = Some(ReleaseId(number_of(&value)?)),
            "runtime" if wish.runtime.is_none() => {
                wish.runtime = Some(RuntimeName::new(&*value).map_err(bad)?);
            }
            "build" if value == "no" => wish.prebuilt = true,
            "commit" if commit.is_none() => commit = Some(CommitId::new(&*value).map_err(bad)?),
            "ref" if named.is_none() => named = Some(RefName::new(&*value).map_err(bad)?),
            "beta" if wish.beta.is_none() => wish.beta = Some(at(&value)?),
            other => {
                let other = cut(other);
                return Err(Error::BadRequest(format!(
                    "there is no parameter {other:?}: use command, and onto, runtime, beta, commit and ref once, and build=no"
                )));
            }
        }
    }
    wish.source = match (commit, named) {
        (Some(commit), name) => Some(Source { commit, name }),
        (None, None) => None,
        (None, Some(_)) => return Err(Error::BadRequest("ref= needs a commit".to_owned())),
    };
    Ok(wish)
}

/// Where a release is to be shown: `beta=` below the tenant's own domain, `beta=next.example.com` there.
fn at(value: &str) -> Result<At> {
    if value.is_empty() {
        return Ok(At::Own);
    }
    let domain: Domain = value.parse().map_err(|e| Error::BadRequest(format!("beta={}: {e}", cut(value))))?;
    if domain.is_wildcard() || !domain.path().is_empty() {
        return Err(Error::BadRequest(format!("beta={}: one release is shown at one whole name", cut(value))));
    }
    Ok(At::Domain(domain))
}

/// What a release holds.
pub(super) async fn files(control: &Arc<Control>, name: TenantName, path: &str) -> Result<Answer> {
    let id = ReleaseId(number_of(last_segment(path.trim_end_matches("/files")))?);
    let listing = Arc::clone(control).list_release(&name, id).await?;
    Ok(stream(StatusCode::OK, LISTING, listing.boxed_unsync()))
}

/// What takes another release into use.
pub(super) async fn switched(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: TenantName,
    asked: Asked<'_>,
) -> Result<Answer> {
    let operator = asked.operator;
    match endpoint {
        Endpoint::Rollback => {
            let wish: Rollback = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.rollback(&name, wish.to, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::Promote => {
            let wish: Promote = read_of(control, asked.head, asked.body).await?;
            let act =
                |control: Arc<Control>| async move { control.promote(&name, wish.release, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::Move => {
            let wish: Move = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.move_to(&name, wish, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::ChangeEnv => {
            let wish: ChangeEnv = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.change_env(&name, wish, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        _ => Ok(json(StatusCode::OK, &control.env(&name).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_words_of_a_query() {
        let words = |query: &str| wish(Some(query)).unwrap().command;
        assert_eq!(words("command=node&command=a%20b.js&command=x%3D1%26y+z"), ["node", "a b.js", "x=1&y z"]);
        assert_eq!((words(""), wish(None).unwrap()), (vec![], Wish::default()));
        assert_eq!(wish(Some("onto=7&command=a")).unwrap().onto, Some(ReleaseId(7)));
        assert_eq!(wish(Some("runtime=node-24")).unwrap().runtime, Some("node-24".parse().unwrap()));
        assert_eq!(wish(Some("beta=")).unwrap().beta, Some(At::Own));
        let next = At::Domain("next.example.com".parse().unwrap());
        assert_eq!(wish(Some("beta=next.example.com")).unwrap().beta, Some(next));
        let commit = "0a".repeat(20);
        let source = wish(Some(&format!("ref=refs/heads/main&commit={commit}"))).unwrap().source.unwrap();
        assert_eq!((source.commit.as_str(), source.name.unwrap().as_str()), (&*commit, "refs/heads/main"));
        for bad in [
            "commit=",
            "commit=0a",
            "ref=refs/heads/main",
            "ref=main&commit=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
            "beta=*.example.com",
            "beta=example.com/x",
            "beta=&beta=",
            "beta=a%20b",
            "runtime=",
            "runtime=a&runtime=b",
            "runtime=../x",
            "comand=x",
            "onto=",
            "onto=-1",
            "onto=1&onto=2",
            "onto=../1",
        ] {
            assert!(matches!(wish(Some(bad)), Err(Error::BadRequest(_))), "{bad}");
        }
    }
}
