//! Real programs on the mount.

use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Guest, Lab, Requirement};
use standfast_tests::guests::{MOUNT, mounted};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

/// How long a program may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// Where Debian keeps the programs of PostgreSQL.
const POSTGRESQL: &str = "/usr/lib/postgresql";

macro_rules! needs {
    ($($requirement:expr),*) => {
        &[Requirement::Guests, Requirement::Program("mount.nfs"), $($requirement),*]
    };
}

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("git_clones_and_collects", needs!(Requirement::Program("git")), git),
        trial("sqlite_has_several_writers", needs!(Requirement::Program("sqlite3")), sqlite),
        trial("postgresql_runs", needs!(Requirement::File(POSTGRESQL)), postgresql),
        trial("rsync_copies_and_verifies", needs!(Requirement::Program("rsync")), rsync),
        trial("fio_verifies_what_it_wrote", needs!(Requirement::Program("fio")), fio),
        trial("stress_ng_finds_nothing", needs!(Requirement::Program("stress-ng")), stress_ng),
    ]
}

/// Runs each script in the mounted directory of a new guest.
fn run(lab: &Lab, scripts: &[&str]) -> Result<(Server, Guest)> {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted(lab, &server, "client")?;
    for script in scripts {
        guest.run_within(LIMIT, &format!("set -e; cd {MOUNT}; {script}"))?.ok()?;
    }
    Ok((server, guest))
}

fn git(lab: &Lab) -> Result {
    let identity = "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n \
                    GIT_COMMITTER_EMAIL=e GIT_CONFIG_GLOBAL=/dev/null";
    let source = format!(
        "{identity}; git init -q -b main /tmp/source; cd /tmp/source
         for n in $(seq 1 15); do
             mkdir -p d$((n % 5)); seq $n $((n * 300)) >d$((n % 5))/f$n; echo $n >log
             git add .; git commit -qm \"change $n\"
         done"
    );
    let work = format!(
        "{identity}; git clone -q --no-local /tmp/source clone; cd clone
         git fsck --full --strict; git checkout -q -b topic HEAD~5
         echo topic >topic; git add topic; git commit -qm topic
         git merge -q -m merge main; git gc -q --aggressive --prune=now; git fsck --full --strict
         [ -z \"$(git status --porcelain)\" ]
         git rev-parse main >/tmp/head; cd ..; git clone -q --bare clone bare
         git -C bare fsck --full; [ $(git -C bare rev-parse main) = $(cat /tmp/head) ]
         cd /tmp/source; [ $(git rev-parse main) = $(cat /tmp/head) ]"
    );
    run(lab, &[&source, &work])?;
    Ok(())
}

/// Several processes add to one table; the locks between them are the client's own.
fn sqlite(lab: &Lab) -> Result {
    let work = "sqlite3 db 'create table t(writer, n, primary key (writer, n))' >/dev/null
        for writer in 1 2 3; do
            ( for n in $(seq 1 15); do
                  sqlite3 -cmd '.timeout 600000' db \"insert into t values ($writer, $n)\"
              done ) & pids=\"$pids $!\"
        done
        for pid in $pids; do wait $pid; done
        [ $(sqlite3 db 'select count(*) from t') = 45 ]
        echo 3 >/proc/sys/vm/drop_caches
        [ $(sqlite3 db 'pragma integrity_check') = ok ]";
    let (server, _guest) = run(lab, &[work])?;
    let db = server.export().join("db");
    let count =
        server.host.run(["sqlite3", &db.display().to_string(), "select count(*) from t"])?;
    assert_eq!(count.ok()?.trim(), "45");
    Ok(())
}

fn postgresql(lab: &Lab) -> Result {
    let work = "bin=$(echo /usr/lib/postgresql/*/bin); mkdir pg; chown postgres pg
        as() { setpriv --reuid=postgres --regid=postgres --clear-groups \"$@\"; }
        as $bin/initdb -D pg/data -A trust --no-instructions >/dev/null
        mkdir -p /tmp/pg; chown postgres /tmp/pg
        start() { as $bin/pg_ctl -w -t 600 -D pg/data -l /tmp/pg/log start \
            -o \"-k /tmp/pg -c listen_addresses='' -c shared_buffers=16MB\" >/dev/null \
            || { cat /tmp/pg/log >&2; exit 1; }; }
        start
        $bin/pgbench -h /tmp/pg -U postgres -i -q -s 1 postgres 2>/dev/null
        $bin/pgbench -h /tmp/pg -U postgres -n -c 2 -t 40 postgres >/tmp/pg/bench
        grep -q '80/80' /tmp/pg/bench || { cat /tmp/pg/bench >&2; exit 1; }
        sum() { $bin/psql -h /tmp/pg -U postgres -qAt -c \
            'select count(*), (select sum(delta) from pgbench_history) - sum(abalance) from pgbench_accounts'; }
        [ \"$(sum)\" = '100000|0' ]
        # A crash of the database, and its recovery.
        as $bin/pg_ctl -t 600 -m immediate -D pg/data stop >/dev/null; start
        [ \"$(sum)\" = '100000|0' ]
        as $bin/pg_ctl -w -t 600 -m fast -D pg/data stop >/dev/null";
    run(lab, &[work])?;
    Ok(())
}

fn rsync(lab: &Lab) -> Result {
    let tree = "rm -rf /tmp/tree; mkdir -p /tmp/tree/deep/er /tmp/tree/none; cd /tmp/tree
        head -c 3000000 /dev/urandom >large; ln large hard; ln -s large soft; mkfifo fifo
        for n in $(seq 1 60); do echo $n >deep/f$n; touch -d @$((n * 1000000)) deep/f$n; done
        chmod 4711 deep/f1; chown 4001:4002 deep/f2; touch -d @1 deep/er
        truncate -s 100M sparse; chmod 500 none";
    let copy = "rsync -aHS --numeric-ids /tmp/tree/ copy/
        echo 3 >/proc/sys/vm/drop_caches
        [ -z \"$(rsync -aHSinc --numeric-ids --delete /tmp/tree/ copy/)\" ]
        echo changed >/tmp/tree/deep/f3; rm /tmp/tree/deep/f4
        rsync -aHS --numeric-ids --delete /tmp/tree/ copy/
        [ -z \"$(rsync -aHSinc --numeric-ids --delete /tmp/tree/ copy/)\" ]
        [ ! -e copy/deep/f4 ]; [ $(stat -c %h copy/hard) = 2 ]
        # And back again.
        rsync -aHS --numeric-ids copy/ /tmp/back/
        [ -z \"$(rsync -aHSinc --numeric-ids --delete /tmp/tree/ /tmp/back/)\" ]";
    run(lab, &[tree, copy])?;
    Ok(())
}

fn fio(lab: &Lab) -> Result {
    let common = "--directory=. --size=12m --ioengine=psync --thread --numjobs=2 --verify=crc32c \
                  --verify_fatal=1 --randrepeat=0 --output-format=terse";
    let buffered = format!("fio --name=buffered --rw=randwrite --bs=1k-64k {common} >/dev/null");
    let direct = format!(
        "fio --name=direct --rw=randwrite --bs=4k --direct=1 {} >/dev/null",
        common.replace("12m", "3m")
    );
    let mixed =
        format!("fio --name=mixed --rw=randrw --bsrange=512-128k --fsync=16 {common} >/dev/null");
    run(lab, &[&buffered, &direct, &mixed])?;
    Ok(())
}

fn stress_ng(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash")?;
    let guest = mounted(lab, &server, "client")?;
    // Those that remove a file with reads ahead under way, and then its directory, fail on any
    // NFS: the client gives the file another name until the reads are done.
    // Without the level, it takes a buffer as large as the largest cache of the processor.
    let groups = [
        "--dir 1 --dir-dirs 64 --link 1 --symlink 1 --rename 1",
        "--dentry 1 --dentries 64 --dirdeep 1 --dirdeep-inodes 200 --filename 1",
        "--chmod 1 --chown 1 --fstat 1 --utime 1",
        "--fallocate 1 --fallocate-bytes 4M --hdd 1 --hdd-bytes 4M --seek 1 --seek-size 4M",
        "--locka 1 --lockf 1 --fcntl 1 --open 1 --fiemap 1 --fiemap-bytes 2M",
        "--sync-file 1 --sync-file-bytes 4M --access 1 --dup 1",
    ];
    for group in groups {
        let command = format!(
            "cd {MOUNT} && stress-ng --cache-level 1 --temp-path {MOUNT} --verify --timeout 4s {group}"
        );
        let output = guest.run_within(LIMIT, &command)?;
        let said = output.stdout.clone() + &output.stderr;
        assert!(output.success() && !said.contains("fail:"), "{group}: {output}");
    }
    assert_eq!(guest.run_within(SOON, &format!("ls {MOUNT}"))?.ok()?, "");
    Ok(())
}
