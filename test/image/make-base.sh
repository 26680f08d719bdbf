#!/bin/sh
# Makes a base image for the Dockerfile where no registry can be reached: Debian with Node and npm,
# which is all that is used of the public node:24-slim.
#
#   make-base.sh NODE_BINARY NPM_FOLDER IMAGE
#
# NODE_BINARY is one for Linux, NPM_FOLDER an installed npm. Debian comes from the mirror that apt is
# set up with. Needs root, debootstrap and buildah; where buildah keeps its images is up to
# STORAGE_DRIVER and the storage.conf that CONTAINERS_STORAGE_CONF names.
set -eu
node=$1 npm=$2 image=$3

. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)

container=$(buildah from scratch)
root=$(buildah mount "$container")
finish() {
  buildah umount "$container" >/dev/null
  buildah rm "$container" >/dev/null
}
trap finish EXIT

debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >&2
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*

install -m 755 "$node" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -RL "$npm" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"

buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit "$container" "$image" >/dev/null
