"""What base images' setup scripts really do, on a whole Debian, under the limits and the network of production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.settings import Settings
from tests.support.debian import debian_image

if TYPE_CHECKING:
    import docker

#: dbus makes a user, and a program that is set-user-ID and another group's; ping gets a file capability. npm runs a
#: package's scripts as the owner of the folder, so that it needs to become another user.
_SETUP = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y install --no-install-recommends dbus iputils-ping libcap2-bin >/dev/null
id -un messagebus
stat -c '%U:%G %a' /usr/lib/dbus-1.0/dbus-daemon-launch-helper
getcap /usr/bin/ping

useradd --create-home builder
install -d -o builder -g builder -m 750 /srv/app
su builder -c 'id -un; echo mine >/srv/app/file'
echo roots >/srv/app/roots
chown --reference=/srv/app/file /srv/app/roots
stat -c %U /srv/app/roots

mkdir /srv/package /srv/app/web
cd /srv/package
echo '{"name": "answer", "version": "1.0.0", "scripts": {"postinstall": "id -un >who"}}' >package.json
echo 'module.exports = 42' >index.js
cd /srv/app/web
npm pack --silent /srv/package
npm install --silent --foreground-scripts ./answer-1.0.0.tgz
node -e 'console.log("the answer is", require("answer"))'
cat node_modules/answer/who
chown -R builder:builder .
su builder -c 'npm install --silent ./answer-1.0.0.tgz && echo as a user, too'
"""


@pytest.mark.timeout(400)
def test_apt_npm_useradd_chown_and_su_work(
    docker_api: docker.APIClient, build_network: str, run_name: str
) -> None:
    limits = Settings()
    isolation = Isolation(
        network=build_network,
        memory_bytes=limits.build_memory_bytes,
        cpus=limits.build_cpus,
        pids=limits.build_pids,
    )
    printed: list[bytes] = []
    with debian_image(docker_api, run_name) as image:
        engine = DockerEngine(isolation=isolation)
        command = ("/bin/bash", "-c", f"read -r url; {_SETUP}")
        with engine.build_container(image, name=f"{run_name}-debian", command=command) as box:
            code = box.run("http://bundles.example.com/x", lambda _, data: printed.append(data), lambda: None)
    text = b"".join(printed).decode()
    assert code == 0, text
    wanted = ["messagebus", "root:messagebus 4754", "/usr/bin/ping cap_net_raw=ep", "builder", "builder"]
    wanted += ["the answer is 42", "root", "as a user, too"]
    said = iter(text.splitlines())
    assert [line for line in wanted if line not in said] == [], text
