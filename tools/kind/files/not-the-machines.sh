#!/bin/sh
# kubelet sets some switches of the kernel for its whole machine, which is not its own here: it finds that somebody has done so.
for said in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/not-the-machines/$(echo "${said%=*}" | tr / .)
    [ -e "$file" ] && continue
    mkdir -p "${file%/*}"
    echo "${said#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${said%=*}"
done
