//! Programs of Python where no file says outright how they are run: a site of Django, whose `manage.py` names its settings, or an
//! application in a file of a usual name; and the server for it among the packages that came along. The files are looked
//! through for a few lines, not understood, and nothing is imported.

use kennel_model::found::Origin;

use super::{Release, Text, Word, readable};

/// Where packages are that came along; the runtime has the same folders in `PYTHONPATH` (kennel.toml).
pub(super) const PACKAGES: [&str; 2] = ["vendor", "site-packages"];
/// What is looked through, the most explicit first.
pub(super) const LOOKED_INTO: [&str; 8] = [
    "manage.py",
    "wsgi.py",
    "asgi.py",
    "app.py",
    "main.py",
    "application.py",
    "app/main.py",
    "app/__init__.py",
];
/// The name under which Django's own file has its settings.
const SETTINGS: &str = "DJANGO_SETTINGS_MODULE";
/// What applications are called.
const NAMES: [&str; 2] = ["app", "application"];
/// Who has one of these in it speaks ASGI.
const ASGI: [&str; 8] = [
    "get_asgi_application",
    "fastapi",
    "FastAPI(",
    "starlette",
    "Starlette(",
    "quart",
    "litestar",
    "async def app",
];

/// What an application and its server speak with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    Wsgi,
    Asgi,
}

/// How the release is served, or why it cannot be; nothing where it is no application of a known kind.
pub(super) fn by_application(release: &impl Release) -> Option<Word> {
    django(release).map(|command| (Origin::Django, command)).or_else(|| usual(release))
}

/// Whether a package came along.
pub(super) fn has(release: &impl Release, file: &str) -> bool {
    PACKAGES.iter().any(|folder| release.at(&format!("{folder}/{file}")).is_some())
}

fn django(release: &impl Release) -> Option<Result<Vec<String>, String>> {
    let text = text(release, "manage.py")?;
    let settings = settings(text)?;
    if !has(release, "django/__init__.py") {
        return Some(Err(missing("manage.py is of a site of Django, which", "Django gunicorn")));
    }
    // They may be a file or a folder of several: the applications are in a folder above them.
    let folders = settings.match_indices('.').map(|(at, _)| &settings[..at]).rev();
    let found = |file: &str| {
        let is_there =
            |package: &&str| release.at(&format!("{}/{file}.py", package.replace('.', "/"))).is_some();
        folders.clone().find(is_there).map(|package| format!("{package}.{file}:application"))
    };
    let (wsgi, asgi) = (found("wsgi"), found("asgi"));
    let served = wsgi.as_deref().and_then(|target| serve(release, Interface::Wsgi, target));
    let served = served.or_else(|| serve(release, Interface::Asgi, asgi.as_deref()?));
    Some(match (served, wsgi.or(asgi)) {
        (Some(words), _) => Ok(words),
        (None, Some(_)) => Err(missing("a server for the site of Django", "gunicorn")),
        (None, None) => {
            Err(format!("manage.py names the settings {settings}, and there is no wsgi.py beside them"))
        }
    })
}

/// What Django calls the settings in `manage.py`, by default: `mysite.settings`.
fn settings(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(SETTINGS)?;
    let value = after.get(1..)?.split(['"', '\'']).nth(1)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (value.contains('.') && value.len() <= 200 && value.chars().all(is_name)).then_some(value)
}

fn usual(release: &impl Release) -> Option<Word> {
    for file in &LOOKED_INTO[1..] {
        let Some(text) = text(release, file) else { continue };
        let Some((interface, name)) = application(text) else { continue };
        let module = file.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
        let server = match interface {
            Interface::Wsgi => "gunicorn",
            Interface::Asgi => "uvicorn",
        };
        let command = match serve(release, interface, &format!("{module}:{name}")) {
            Some(words) => Ok(words),
            None if text.contains("__main__") => Ok(["python", file].map(str::to_owned).into()),
            None => Err(missing(&format!("a server for the application in {file}"), server)),
        };
        return Some((Origin::PythonApp, command));
    }
    None
}

/// The application that a file has, as servers take it: a name of the module's, or what makes one.
fn application(text: &str) -> Option<(Interface, &'static str)> {
    let interface = match ASGI.iter().any(|sign| text.contains(sign)) {
        true => Interface::Asgi,
        false => Interface::Wsgi,
    };
    if let Some(name) = NAMES.into_iter().find(|name| text.lines().any(|line| defines(line, name))) {
        return Some((interface, name));
    }
    let makes = |line: &str| {
        let arguments = line.strip_prefix("def create_app(").and_then(|rest| rest.split_once(')'));
        arguments.is_some_and(|(all, _)| all.trim().is_empty() || all.split(',').all(|one| one.contains('=')))
    };
    (interface == Interface::Wsgi && text.lines().any(makes)).then_some((interface, "create_app()"))
}

/// Whether a line of the module itself gives it this name.
fn defines(line: &str, name: &str) -> bool {
    let after = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(name));
    let is_value = |rest: &str| {
        let rest = rest.trim_start();
        (rest.starts_with('=') && !rest.starts_with("==")) || (rest.starts_with(':') && rest.contains('='))
    };
    after("").is_some_and(is_value)
        || after("def ").or_else(|| after("async def ")).is_some_and(|rest| rest.starts_with('('))
        || (line.starts_with("from ")
            && line.split_once(" import ").is_some_and(|(_, names)| imports(names, name)))
}

fn imports(names: &str, name: &str) -> bool {
    names.split(',').any(|one| one.trim().rsplit(" as ").next().is_some_and(|called| called.trim() == name))
}

/// A server that came along, before the application.
fn serve(release: &impl Release, interface: Interface, target: &str) -> Option<Vec<String>> {
    let (server, at): (_, &[&str]) = match interface {
        Interface::Wsgi => ("gunicorn", &["--bind", "127.0.0.1:$PORT"]),
        Interface::Asgi => ("uvicorn", &["--host", "127.0.0.1", "--port", "$PORT"]),
    };
    let words = ["python", "-m", server].into_iter().chain(at.iter().copied()).chain([target]);
    has(release, &format!("{server}/__main__.py")).then(|| words.map(str::to_owned).collect())
}

fn missing(what: &str, packages: &str) -> String {
    let places = PACKAGES.join(" nor in ");
    format!(
        "{what} is neither in {places}: `pip install --target {} {packages}` puts it there, and so does the host with requirements.txt",
        PACKAGES[0]
    )
}

/// A file that is there and can be read; what is too long, or a link, is no file of that kind.
fn text<'r>(release: &'r impl Release, name: &str) -> Option<&'r str> {
    let text: &Text = release.text(name)?;
    match readable(text) {
        Ok(std::borrow::Cow::Borrowed(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_known_by_a_line() {
        use Interface::{Asgi, Wsgi};
        for (text, found) in [
            ("from flask import Flask\napp = Flask(__name__)\n", Some((Wsgi, "app"))),
            ("app: Flask = create()\n", Some((Wsgi, "app"))),
            ("from fastapi import FastAPI\napp=FastAPI()", Some((Asgi, "app"))),
            ("application = get_asgi_application()", Some((Asgi, "application"))),
            ("from mysite import server, application", Some((Wsgi, "application"))),
            ("from shop import create as app\n", Some((Wsgi, "app"))),
            ("def app(environ, start_response):\n    pass", Some((Wsgi, "app"))),
            ("async def app(scope, receive, send):\n    pass", Some((Asgi, "app"))),
            ("def create_app(test_config=None):\n    app = Flask(__name__)\n", Some((Wsgi, "create_app()"))),
            ("def create_app(config):\n    app = Flask(__name__)\n", None),
            ("    app = Flask(__name__)", None),
            ("if app == 1: pass\napps = 1\napp.run()", None),
            ("app == 1", None),
            ("", None),
        ] {
            assert_eq!(application(text), found, "{text}");
        }
    }

    #[test]
    fn settings_are_what_manage_py_names() {
        let line = |value: &str| format!("    os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", {value})\n");
        assert_eq!(settings(&line("\"mysite.settings\"")), Some("mysite.settings"));
        assert_eq!(settings(&line("'config.settings.production'")), Some("config.settings.production"));
        for odd in ["\"settings\"", "name", "\"../x.y\"", "\"a.\u{e9}\"", ""] {
            assert_eq!(settings(&line(odd)), None, "{odd}");
        }
        assert_eq!(settings("DJANGO_SETTINGS_MODULE"), None);
        assert_eq!(settings("DJANGO_SETTINGS_MODULE\u{e9}"), None);
    }
}
