"""Runs the cells given as a JSON array on stdin in one notebook through nbclient, and prints the cells it has after it."""

import json
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

options = json.loads(sys.argv[1])
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in json.load(sys.stdin)])
client = NotebookClient(
    notebook,
    kernel_name="tslab",
    timeout=120,
    resources={"metadata": {"path": options["folder"]}},
    allow_errors=options.get("allowErrors", False),
)
error = None
try:
    client.execute()
except CellExecutionError as caught:
    error = {"ename": caught.ename, "evalue": caught.evalue, "traceback": caught.traceback}
nbformat.validate(notebook)
print(json.dumps({"error": error, "cells": notebook.cells}))
