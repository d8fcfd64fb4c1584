from flask import Flask, render_template_string, request
from markupsafe import _speedups

app = Flask(__name__)


@app.route("/")
def hello():
    name = request.args.get("name", "World")
    return render_template_string("<p>Hello, {{ name }}!</p>", name=name)


@app.route("/compiled")
def compiled():
    return _speedups.__file__
