//! Files, names and links of every kind, as a Linux client sees them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libtest_mimic::Trial;
use standfast_lab::Lab;
use standfast_tests::Result;
use standfast_tests::guests::Version::{V3, V40, V41, V42};
use standfast_tests::guests::{GUESTS, Version, for_versions, mounted_over, on_mount};
use standfast_tests::server::Server;

pub(crate) fn stories() -> Vec<Trial> {
    let content =
        for_versions("files_of_every_size_keep_their_content", GUESTS, &[V3, V42], content);
    let names = for_versions(
        "names_and_links_behave_as_on_a_local_filesystem",
        GUESTS,
        &[V3, V40, V41],
        names,
    );
    content.into_iter().chain(names).collect()
}

fn content(lab: &Lab, version: Version) -> Result {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted_over(lab, &server, "client", version)?;
    // Sizes around those of pages, blocks and requests; read back after the cache is dropped.
    on_mount(
        &guest,
        "for size in 0 1 4095 4096 4097 65537 1048575 1048577 40000001; do
             head -c $size /dev/urandom >/tmp/$size; cp /tmp/$size $size
         done
         sync; echo 3 >/proc/sys/vm/drop_caches
         for size in 0 1 4095 4096 4097 65537 1048575 1048577 40000001; do
             cmp /tmp/$size $size; [ $(stat -c %s $size) = $size ]
         done",
    )?;
    // The same bytes lie in the directory.
    let in_guest = on_mount(&guest, "sha256sum <40000001")?;
    let in_export = server.host.run(["sha256sum", &text(&server, "40000001")])?.ok()?;
    assert_eq!(in_guest.split(' ').next(), in_export.split(' ').next());

    on_mount(
        &guest,
        "mkdir many; cd many
         seq 1 300 | while read n; do echo content $n >$n; done
         sync; echo 3 >/proc/sys/vm/drop_caches
         [ $(ls | wc -l) = 300 ]
         seq 1 300 | while read n; do read line <$n; [ \"$line\" = \"content $n\" ]; done",
    )?;
    sparse(&server, &guest)?;
    rewriting(&guest)
}

fn sparse(server: &Server, guest: &standfast_lab::Guest) -> Result {
    // Beyond 4 GiB, and near the end of what the filesystem takes; the holes are zeros.
    on_mount(
        guest,
        "printf start >sparse
         printf middle | dd of=sparse bs=1 seek=5000000000 conv=notrunc status=none
         printf end | dd of=sparse bs=1 seek=1099511627776 conv=notrunc status=none
         sync; echo 3 >/proc/sys/vm/drop_caches
         [ $(stat -c %s sparse) = 1099511627779 ]
         [ $(stat -c %b sparse) -lt 1000 ]
         [ \"$(dd if=sparse bs=1 skip=5000000000 count=6 status=none)\" = middle ]
         [ \"$(dd if=sparse bs=1 skip=1099511627776 status=none)\" = end ]
         dd if=sparse bs=1M skip=2000 count=2 status=none | cmp -n 2097152 - /dev/zero
         truncate -s 4294967297 sparse; [ $(stat -c %s sparse) = 4294967297 ]
         truncate -s 3 sparse; truncate -s 8 sparse
         [ \"$(od -An -c sparse | tr -d ' \\n')\" = 'sta\\0\\0\\0\\0\\0' ]",
    )?;
    assert_eq!(fs::read(server.export().join("sparse"))?, b"sta\0\0\0\0\0");
    Ok(())
}

fn rewriting(guest: &standfast_lab::Guest) -> Result {
    on_mount(
        guest,
        "seq 1 20000 >numbers
         printf 'in place' | dd of=numbers bs=1 seek=50000 conv=notrunc status=none
         for n in 1 2 3; do echo appended $n >>numbers; done
         sync; echo 3 >/proc/sys/vm/drop_caches
         [ \"$(dd if=numbers bs=1 skip=50000 count=8 status=none)\" = 'in place' ]
         [ \"$(tail -n 1 numbers)\" = 'appended 3' ]
         [ $(wc -l <numbers) -ge 20000 ]
         # Appending from several processes at once loses nothing within one client.
         for writer in a b c d; do
             (seq 1 200 | while read n; do echo $writer $n; done >>log) &
         done; wait
         [ $(wc -l <log) = 800 ]; [ $(sort -u log | wc -l) = 800 ]",
    )?;
    Ok(())
}

/// The path of a name in the export, for a command.
fn text(server: &Server, name: &str) -> String {
    server.export().join(name).display().to_string()
}

fn names(lab: &Lab, version: Version) -> Result {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted_over(lab, &server, "client", version)?;
    // From minor version 1 on, the server keeps a file that is open; before, the client gives it
    // another name.
    let kept = match version {
        V3 | V40 => "ls -a | grep -q '^\\.nfs'",
        V41 | V42 => "[ -z \"$(ls -a | grep '^\\.nfs')\" ]",
    };
    let removed = format!(
        "exec 4<>held; echo before >&4; rm held; echo after >&4
         [ \"$(cat /proc/self/fd/4 | wc -l)\" = 2 ]; {kept}
         exec 4<&-
         # The client takes the name away beside: after the close, not with it.
         for n in $(seq 1 400); do ls -a | grep -q '^\\.nfs' || break; sleep 0.05; done
         [ -z \"$(ls -a | grep '^\\.nfs')\" ]"
    );
    let steps = [
        // Exclusive creation: one of many wins.
        "set -o noclobber
         for n in 1 2 3 4 5 6 7 8; do (echo $n >once && echo $n >>/tmp/winners) & done; wait
         set +o noclobber
         [ $(wc -l </tmp/winners) = 1 ]; cmp once /tmp/winners",
        // A rename over a file that is open: the reader keeps the old one.
        "echo old >target; echo new >source; exec 3<target
         mv source target; read line <target; [ $line = new ]
         read line <&3; [ $line = old ]; exec 3<&-
         mkdir one two; touch one/f; mv one/f two/f; [ -e two/f ]; [ ! -e one/f ]
         mv one two/one; [ -d two/one ]; fails mv -T target two",
        // Links.
        "echo linked >a; ln a b; [ $(stat -c %h a) = 2 ]; [ $(stat -c %i a) = $(stat -c %i b) ]
         echo more >>b; rm a; [ $(stat -c %h b) = 1 ]; grep -q more b
         ln -s /no/where/$(head -c 200 /dev/zero | tr '\\0' x) far
         [ $(readlink far | wc -c) = 211 ]; ln -s b near; grep -q linked near
         ln -s loop loop; fails cat loop",
        // Removed while open: it can still be written and read.
        &removed,
        // Special files.
        "mkfifo fifo; (echo through >fifo) & read line <fifo; [ $line = through ]; wait
         mknod null c 1 3; echo x >null; [ \"$(stat -c %t:%T null)\" = 1:3 ]
         mknod block b 7 9; [ \"$(stat -c %F block)\" = 'block special file' ]
         perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(\"sock\")) or die'
         [ -S sock ]; chmod 640 fifo; [ $(stat -c %a fifo) = 640 ]",
        // Long names, odd names, and names that are no text.
        "long=$(head -c 255 /dev/zero | tr '\\0' n); echo x >$long; [ -e $long ]
         fails touch ${long}n; rm $long
         touch -- ' ' '\\' '*' '-n' \"$(printf 'a\\nb')\"; [ -e ' ' ]; rm -- ' ' '\\' '*' '-n'
         odd=$(printf '\\377\\376\\200'); echo odd >\"$odd\"; [ \"$(cat \"$odd\")\" = odd ]
         deep=d; for n in $(seq 1 40); do deep=$deep/d; done; mkdir -p $deep; touch $deep/f
         [ -e $deep/f ]; rm -r d; [ ! -e d ]",
        // Times.
        "touch -d '2001-02-03 04:05:06.789012345 UTC' f; [ \"$(stat -c %.9Y f)\" = 981173106.789012345 ]
         touch -a -d @1 f; [ $(stat -c %X f) = 1 ]
         before=$(stat -c %.9Z f)
         # Within one tick of the server's clock, the time of change stays the same.
         for n in $(seq 1 100); do
             chmod 60$((n % 8)) f; [ $(stat -c %.9Z f) = $before ] || break
         done
         [ $(stat -c %.9Z f) != $before ]",
    ];
    for step in steps {
        on_mount(&guest, step)?;
    }
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"\xff\xfe\x80"));
    assert_eq!(fs::read(server.export().join(odd))?, b"odd\n");
    Ok(())
}
