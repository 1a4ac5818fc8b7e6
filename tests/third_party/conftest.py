"""The package beside this file has tests of its own, which run where it is installed: see test_api_version.py."""

collect_ignore = ["api_version"]
