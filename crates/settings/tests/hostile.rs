//! The check of the fuzz target, on inputs that need no fuzzer.

#[path = "../../../fuzz/checks/exports.rs"]
mod exports;
#[path = "../../../fuzz/checks/smoke.rs"]
mod smoke;

#[test]
fn settings() {
    let seeds = [
        "/srv/data 10.0.0.0/8(rw,no_root_squash) *.example.com(ro,sec=sys)\n",
        "/srv/a\\040b @group(rw,all_squash,anonuid=5,anongid=6) \\\n  2001:db8::/32(fsid=3)\n",
        "\"/srv/c\" -ro,insecure host1 host2(rw) # a comment\n",
        "[server]\nlisten = [\"[::]:2049\"]\n[[export]]\npath = \"/srv\"\nallow = [\"h:rw\"]\n",
        "[[export]]\npath = \"/srv\"\nfsid = 7\ncross_mounts = true\nallow = [\"10.0.0.0/8:ro\"]\n",
    ];
    smoke::smoke(&seeds.map(|seed| seed.as_bytes().to_vec()), exports::check);
}
