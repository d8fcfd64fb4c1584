//! From permissions to acts: what a set of permissions on a class lets a program do, as a person would say it. Small
//! permissions that only help others (`getattr`, `lock`) are left to the rule-by-rule part of the report.

use super::{Access, Act, words};

/// Verbs in the order of the report.
const VERBS: [&str; 29] = [
    "begin with the program",
    "start programs of",
    "start processes in",
    "run without leaving its domain",
    "use as a library or program",
    "make code at run time in",
    "read",
    "read when handed",
    "write",
    "write when handed",
    "make and remove files of",
    "pass through folders of",
    "mount on",
    "mount",
    "change the options of",
    "give the label",
    "load kernel modules from",
    "use descriptors of",
    "talk over handed sockets of",
    "accept connections on handed sockets of",
    "open sockets of the class",
    "connect to",
    "listen on",
    "send packets to",
    "signal",
    "tell of its end",
    "choose the domain or label of",
    "trace",
    "have the capability",
];

/// Everything that the accesses of this domain amount to.
pub(super) fn of(domain: &str, accesses: &[Access]) -> Vec<Act> {
    let mut acts: Vec<Act> = VERBS.map(|verb| Act { verb: verb.to_owned(), objects: Vec::new() }).into();
    for access in accesses {
        for (verb, object) in said(domain, access) {
            let act = acts.iter_mut().find(|act| act.verb == verb);
            if let Some(act) = act.filter(|act| !act.objects.contains(&object)) {
                act.objects.push(object);
            }
        }
    }
    acts.retain(|act| !act.objects.is_empty());
    acts
}

fn said(domain: &str, access: &Access) -> Vec<(&'static str, String)> {
    let own = access.target == domain;
    let object =
        if own { "itself".to_owned() } else { format!("{} ({})", words::of(&access.target), access.target) };
    let on_object = |verbs: Vec<&'static str>| verbs.into_iter().map(|verb| (verb, object.clone())).collect();
    match access.class.as_str() {
        "capability" | "capability2" => {
            access.permissions.iter().map(|p| ("have the capability", p.clone())).collect()
        }
        "file" | "dir" | "lnk_file" | "chr_file" | "blk_file" | "sock_file" | "fifo_file" => {
            on_object(files(access))
        }
        class if class.ends_with("_socket") && own => vec![("open sockets of the class", class.to_owned())],
        _ => on_object(others(access)),
    }
}

fn files(access: &Access) -> Vec<&'static str> {
    let has = |permission: &str| access.permissions.iter().any(|p| p == permission);
    let opens = has("open") || access.class == "lnk_file" || access.class == "sock_file";
    let mut verbs = Vec::new();
    let mut say = |holds: bool, verb| {
        if holds {
            verbs.push(verb);
        }
    };
    let executes = has("execute") && !has("entrypoint") && !has("execute_no_trans");
    say(has("entrypoint"), "begin with the program");
    say(has("execute_no_trans"), "run without leaving its domain");
    say(executes && has("map"), "use as a library or program");
    say(executes && !has("map"), "start programs of");
    say(has("read") && opens, "read");
    say(has("read") && !opens, "read when handed");
    let writes = (has("write") || has("append")) && access.class != "dir";
    say(writes && opens, "write");
    say(writes && !opens, "write when handed");
    say(
        ["create", "unlink", "rename", "add_name", "remove_name", "rmdir"].into_iter().any(has),
        "make and remove files of",
    );
    say(access.class == "dir" && has("search") && !has("read"), "pass through folders of");
    say(has("mounton"), "mount on");
    say(has("relabelto"), "give the label");
    verbs
}

fn others(access: &Access) -> Vec<&'static str> {
    let verb = |permission: &str| match (access.class.as_str(), permission) {
        ("process", "transition") => "start processes in",
        ("process", "execmem") => "make code at run time in",
        ("process", "sigkill" | "signal") => "signal",
        ("process", "sigchld") => "tell of its end",
        ("process", "ptrace") => "trace",
        ("process", "setexec" | "setfscreate" | "setsockcreate") => "choose the domain or label of",
        ("filesystem", "mount") => "mount",
        ("filesystem", "remount") => "change the options of",
        ("filesystem", "relabelto") => "give the label",
        ("system", "module_load") => "load kernel modules from",
        ("fd", "use") => "use descriptors of",
        ("unix_stream_socket", "write") => "talk over handed sockets of",
        ("tcp_socket", "accept") => "accept connections on handed sockets of",
        ("tcp_socket", "name_connect") => "connect to",
        ("tcp_socket" | "udp_socket", "name_bind") => "listen on",
        ("node", "sendto") => "send packets to",
        _ => "",
    };
    let mut verbs: Vec<&'static str> =
        access.permissions.iter().map(|p| verb(p)).filter(|v| !v.is_empty()).collect();
    verbs.dedup();
    verbs
}
