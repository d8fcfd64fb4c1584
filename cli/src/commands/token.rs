//! `kennel token`: what programs show that cannot sign in.

use kennel_model::TokenName;
use kennel_model::token::{NewToken, Token, TokenMade};

use super::Context;
use crate::args::{After, TokenAdd, TokenCommand};
use crate::exit::Failure;
use crate::ui::{ago, remaining, table};

const PATH: &str = "/v1/tokens";

pub(super) async fn token(context: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Add(args) => add(context, args).await,
        TokenCommand::Ls => ls(context).await,
        TokenCommand::Rm { name } => rm(context, &name).await,
    }
}

/// The secret alone goes to standard output, so that it can go straight to a file.
async fn add(context: &Context, args: TokenAdd) -> Result<(), Failure> {
    let TokenAdd { name, scope, account, tenants, expires } = args;
    let expires_in_s = match expires {
        Some(After(Some(seconds))) => Some(seconds.into()),
        Some(After(None)) => {
            return Err(Failure::usage("a token that never expires cannot be asked for", "up to 366d can"));
        }
        None => None,
    };
    let wish = NewToken { name, scope: scope.into(), account, tenants, expires_in_s };
    let made: TokenMade = context.client()?.post(PATH, &wish).await?;
    context.ui.result(&made, |made| made.secret.clone())?;
    let Token { name, scope, expires_at_s, .. } = &made.token;
    let until = expires_at_s.map_or_else(String::new, |at| format!(" and expires {}", remaining(at)));
    context.ui.note(&format!("token {name} may {}{until}; its secret is not shown again", scope.may()));
    Ok(())
}

async fn ls(context: &Context) -> Result<(), Failure> {
    let tokens: Vec<Token> = context.client()?.get(PATH).await?;
    Ok(context.ui.result(&tokens, |tokens| {
        if tokens.is_empty() {
            return "no tokens; make one: kennel token add prometheus\n".into();
        }
        let rows: Vec<_> = tokens.iter().map(row).collect();
        table(["NAME", "SCOPE", "ACCOUNT", "TENANTS", "EXPIRES", "USED", "MADE", "BY"], &rows)
    })?)
}

fn row(token: &Token) -> [String; 8] {
    let tenants = match &token.tenants {
        None => "all of its account's".to_owned(),
        Some(tenants) if tenants.is_empty() => "none any more".to_owned(),
        Some(tenants) => tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    [
        token.name.to_string(),
        token.scope.as_str().into(),
        token.account.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        if token.account.is_some() { tenants } else { "-".to_owned() },
        token.expires_at_s.map_or_else(|| "never".to_owned(), remaining),
        token.used_at_s.map_or_else(|| "never".to_owned(), ago),
        ago(token.created_at_s),
        token.by.clone(),
    ]
}

async fn rm(context: &Context, name: &TokenName) -> Result<(), Failure> {
    context.client()?.delete(&format!("{PATH}/{name}")).await?;
    context.ui.note(&format!("token {name} is worth nothing any more"));
    Ok(())
}
