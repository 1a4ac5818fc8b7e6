"""Puts the twistd plugin into Twisted's own folder of plugins; everything else about the package is in setup.cfg.

Twisted looks for plugins in `twisted/plugins` below each entry of sys.path, its own folder first, and writes a
`dropin.cache` beside each plugin that it finds. Installed as a data file that lands in site-packages, the plugin is in
Twisted's own folder whether the install is a wheel or editable. A checkout's copy is then neither needed nor looked at
(a module's name is taken once), so that nothing is ever written into the source tree.
"""

from setuptools import Distribution, setup  # before distutils: Python 3.12 has none of its own, setuptools brings it

from distutils.command.install_data import install_data  # isort: skip


class InstallBesidePackages(install_data):
    """Lays data files out below site-packages instead of below the environment's root."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.install_dir = self.get_finalized_command("install").install_purelib


class WithDataFiles(Distribution):
    """An editable install asks `has_data` before it installs data files, and no Distribution answers to that name."""

    def has_data(self) -> bool:
        return bool(self.has_data_files())


setup(cmdclass={"install_data": InstallBesidePackages}, distclass=WithDataFiles)
