"""The app's front door: page registry, look and run picker. All else is in pages/ and ui/."""

from ui import shell

shell.enter().run()
