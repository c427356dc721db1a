#!/bin/bash
# Unpacks the app's bundle and installs what it needs. The build container runs it as: /app/setup.sh BUNDLE_URL
set -euo pipefail
cd /app/bundle
curl --fail --silent --show-error --location "$1" | tar -xz
pip install --no-cache-dir -r requirements.txt
