//! Sites of PHP: a front controller, `index.php`, in the folder that visitors see or at the top; and the packages that its
//! `composer.json` asks for, which have to have come along. Nothing is executed.

use kennel_model::found::Origin;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Release, Thing, Word, readable};

/// What says which packages a program of PHP needs.
pub(super) const COMPOSER: &str = "composer.json";
/// Where front controllers are, the folders first that keep the rest of the release from visitors: a file beside them at the top
/// only leads there.
const FRONTS: [&str; 4] = ["public/index.php", "web/index.php", "webroot/index.php", "index.php"];
/// Where Composer puts packages, unless it is told otherwise.
const PACKAGES: &str = "vendor";
/// Rules of another web server.
const RULES: &str = ".htaccess";

/// What is read of a `composer.json`.
#[derive(Deserialize)]
struct Composer {
    #[serde(default)]
    require: Map<String, Value>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    vendor_dir: Option<String>,
}

/// How the release is served, or why it cannot be; nothing where it is no site of PHP.
pub(super) fn by_site(release: &impl Release, left: &mut Vec<String>) -> Option<Word> {
    let is_file = |path: &str| matches!(release.at(path), Some(Thing::File(_)));
    let front = FRONTS.into_iter().find(|path| is_file(path))?;
    let rules = front.replace("index.php", RULES);
    if is_file(&rules) {
        left.push(format!("{rules}: paths without a file are {front}'s, and nothing else of it is done"));
    }
    Some((Origin::PhpSite, packages(release).map(|()| ["kennel-php", front].map(str::to_owned).into())))
}

/// Whether what `composer.json` asks for has come along. One that cannot be read is Composer's to complain of: it says nothing of
/// how the site is served.
fn packages(release: &impl Release) -> Result<(), String> {
    let text = release.text(COMPOSER).map(readable);
    let Some(Ok(text)) = text else { return Ok(()) };
    let Ok(composer) = serde_json::from_str::<Composer>(&text) else { return Ok(()) };
    // `php`, `ext-intl` and their like are of the runtime: a package has a vendor.
    let Some(needed) = composer.require.keys().find(|name| name.contains('/')) else { return Ok(()) };
    let folder = composer.config.vendor_dir.unwrap_or_else(|| PACKAGES.to_owned());
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    match release.at(&format!("{folder}/autoload.php")) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{COMPOSER} requires {needed}, and there is no {folder}/autoload.php: `composer install --no-dev` makes it, and with a composer.lock the host does"
        )),
    }
}
