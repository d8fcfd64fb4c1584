//! Releases of Python as people have them, with and without a server, and what a Procfile says of them.

use super::*;

/// How an application of Python is served, or why not.
fn served(files: &[(&str, &str)]) -> Option<(Origin, Result<String, String>)> {
    let found = said(&tree(files), Found::default());
    assert_eq!(found.validate(), Ok(()));
    found.python.map(|said| (said.origin, said.command.map(|words| words.join(" "))))
}

const FLASK: (&str, &str) = ("app.py", "from flask import Flask\napp = Flask(__name__)\n");
const GUNICORN: (&str, &str) = ("vendor/gunicorn/__main__.py", "");
const UVICORN: (&str, &str) = ("site-packages/uvicorn/__main__.py", "");
const MANAGE: (&str, &str) =
    ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')");
const DJANGO: (&str, &str) = ("vendor/django/__init__.py", "");

#[test]
fn applications_of_python_as_people_have_them() {
    use Origin::{Django, PythonApp};
    let gunicorn = "python -m gunicorn --bind 127.0.0.1:$PORT";
    let uvicorn = "python -m uvicorn --host 127.0.0.1 --port $PORT";
    for (what, files, origin, words) in [
        ("Flask", &[FLASK, GUNICORN][..], PythonApp, format!("{gunicorn} app:app")),
        ("both servers", &[FLASK, GUNICORN, UVICORN], PythonApp, format!("{gunicorn} app:app")),
        (
            "wsgi.py before it",
            &[FLASK, GUNICORN, ("wsgi.py", "from app import app")],
            PythonApp,
            format!("{gunicorn} wsgi:app"),
        ),
        ("FastAPI", &[("main.py", "app = FastAPI()"), UVICORN], PythonApp, format!("{uvicorn} main:app")),
        (
            "FastAPI in a folder",
            &[("app/main.py", "app = FastAPI()"), UVICORN],
            PythonApp,
            format!("{uvicorn} app.main:app"),
        ),
        (
            "a factory",
            &[("app/__init__.py", "def create_app():"), GUNICORN],
            PythonApp,
            format!("{gunicorn} app:create_app()"),
        ),
        (
            "a server of its own",
            &[("app.py", "app = 1\nif __name__ == '__main__':")],
            PythonApp,
            "python app.py".into(),
        ),
        (
            "Django",
            &[MANAGE, DJANGO, GUNICORN, ("mysite/wsgi.py", "")],
            Django,
            format!("{gunicorn} mysite.wsgi:application"),
        ),
        (
            "Django, ASGI",
            &[MANAGE, DJANGO, UVICORN, ("mysite/asgi.py", "")],
            Django,
            format!("{uvicorn} mysite.asgi:application"),
        ),
        (
            "Django with settings in a folder",
            &[
                ("manage.py", "DJANGO_SETTINGS_MODULE', 'web.conf.settings.live'"),
                DJANGO,
                GUNICORN,
                ("web/conf/wsgi.py", ""),
            ],
            Django,
            format!("{gunicorn} web.conf.wsgi:application"),
        ),
    ] {
        assert_eq!(served(files), Some((origin, Ok(words))), "{what}");
    }
    for files in [
        &[][..],
        &[("app.py", "print(1)"), GUNICORN],
        &[("manage.py", "import app")],
        &[("lib/app.py", "app = 1")],
    ] {
        assert_eq!(served(files), None, "{files:?}");
    }
}

#[test]
fn an_application_of_python_without_a_server_says_what_is_missing() {
    for (files, why) in [
        (
            &[FLASK][..],
            "a server for the application in app.py is neither in vendor nor in site-packages: `pip install --target vendor gunicorn`",
        ),
        (&[("main.py", "app = FastAPI()"), GUNICORN], "`pip install --target vendor uvicorn`"),
        (&[MANAGE, ("mysite/wsgi.py", "")], "a site of Django, which is neither in vendor"),
        (&[MANAGE, DJANGO, ("mysite/wsgi.py", "")], "a server for the site of Django is neither in vendor"),
        (&[MANAGE, DJANGO, GUNICORN], "manage.py names the settings mysite.settings, and there is no wsgi.py"),
    ] {
        let error = served(files).unwrap().1.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let mut tree = tree(&[FLASK, GUNICORN]);
    for text in [Text::Link, Text::TooLong, Text::Whole(b"app = \xff".to_vec())] {
        tree.texts.insert("app.py".into(), text);
        assert_eq!(said(&tree, Found::default()).python, None, "what cannot be read is passed over");
    }
}

#[test]
fn programs_of_python_in_a_procfile() {
    let script = ("vendor/bin/celery", "#!/home/ada/.venv/bin/python3.11\nimport sys");
    for (line, files, words) in [
        ("gunicorn -w 2 app:app", &[GUNICORN][..], Ok("python -m gunicorn -w 2 app:app")),
        ("celery -A x worker", &[script], Ok("python3.11 vendor/bin/celery -A x worker")),
        ("python app.py --port $PORT", &[FLASK], Ok("python app.py --port $PORT")),
        ("python3 -m http.server $PORT", &[], Ok("python3 -m http.server $PORT")),
        ("poetry run gunicorn app:app", &[GUNICORN], Ok("python -m gunicorn app:app")),
        ("uv run python app.py", &[FLASK], Ok("python app.py")),
        ("gunicorn app:app", &[], Ok("gunicorn app:app")),
        ("python", &[], Err("`python` alone has no program")),
        ("python3 app.py", &[], Err("app.py is not in the release")),
        ("poetry install", &[], Err("poetry is not on the host")),
        ("uv run uv run uv run uv run uv run uv run uv run uv run uv run x", &[], Err("can be followed")),
    ] {
        let procfile = format!("web: {line}");
        let files = [&[("Procfile", procfile.as_str())], files].concat();
        match (says(&files).unwrap().1, words) {
            (Ok(seen), Ok(words)) => assert_eq!(seen, words, "{line}"),
            (Err(seen), Err(words)) => assert!(seen.contains(words), "{line}: {seen}"),
            (seen, _) => panic!("{line}: {seen:?}"),
        }
    }
}
