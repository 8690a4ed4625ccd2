//! Commands and shells.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::{fs, thread};

use crate::fixture::{NOTICE, Node, finish, run, until};

#[test]
fn a_command_has_its_output_its_errors_and_its_status() {
    let (node, key) = Node::rented();
    let ended = run(node.ssh(&key).arg("echo out; echo err >&2; exit 3"));
    assert_eq!(
        (ended.status, ended.text(), &*ended.stderr),
        (Some(3), "out\n", "err\n"),
        "and no notice"
    );
    let ended = run(node.ssh(&key).arg("true"));
    assert_eq!((ended.status, ended.text(), &*ended.stderr), (Some(0), "", ""));
}

#[test]
fn a_command_reads_its_input_to_the_end() {
    let (node, key) = Node::rented();
    let sent: Vec<u8> = (0..50_000_000u32).map(|i| (i ^ (i >> 11)) as u8).collect();
    let mut ssh = node
        .ssh(&key)
        .arg("cat; echo -n end")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    let typed = sent.clone();
    let writer = thread::spawn(move || stdin.write_all(&typed).unwrap());
    let ended = finish(ssh);
    writer.join().unwrap();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.strip_suffix(b"end").unwrap() == sent,
        "all of it came back"
    );
}

#[test]
fn a_command_that_reads_no_input_ends_all_the_same() {
    let (node, key) = Node::rented();
    let zeros = fs::File::open("/dev/zero").unwrap();
    let ended = run(node.ssh(&key).arg("exec <&-; sleep 1; echo done").stdin(zeros));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "done\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn variables_reach_the_command() {
    let (node, key) = Node::rented();
    let mut ssh = node.ssh_with(&key, &["-o", "SendEnv=LC_JEJU OTHER", "-o", "SetEnv=MINE=mine"]);
    ssh.env("LC_JEJU", "x y").env("OTHER", "z");
    let ended = run(ssh.arg("echo $LC_JEJU,$OTHER,$MINE"));
    assert_eq!(ended.text(), "x y,z,mine\n", "{}", ended.stderr);
}

/// A person at a terminal: types the lines of its second argument once the text before `|` has been shown, changes the
/// terminal's size at `resize R C`, and says all that was shown and the status of the program.
const PERSON: &str = r#"
import fcntl, os, pty, struct, sys, termios
steps = [step.split("|", 1) for step in sys.argv[1].split("\n")]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
def size(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(33, 111)
shown, seen = b"", 0
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    shown += part
    while steps and steps[0][0].encode() in shown[seen:]:
        wait, does = steps.pop(0)
        seen = len(shown)
        if does.startswith("resize "):
            size(*map(int, does.split()[1:]))
        else:
            os.write(terminal, does.encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn person(steps: &str, ssh: &Command) -> Command {
    let mut person = Command::new("python3");
    person
        .args(["-c", PERSON, steps])
        .arg(ssh.get_program())
        .args(ssh.get_args());
    person.env("TERM", "xterm-256color");
    person
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    person
}

#[test]
fn a_shell_has_a_terminal_that_changes_its_size_and_says_what_it_is_first() {
    let (node, key) = Node::rented();
    let steps = "look into it.|PS1='@''@ '
@@ |stty size; echo $TERM; tty
/dev/pts/|resize 44 122
@@ |until [ \"$(stty size | tr -d ' ')\" = 44122 ]; do sleep 0.1; done; stty size; stty -a | grep -c 'intr = ^C'
44 122|exit 7";
    let ended = run(&mut person(steps, &node.ssh(&key)));
    let shown = ended.text();
    assert_eq!(ended.status, Some(7), "{shown}");
    for text in ["33 111\r\n", "xterm-256color\r\n", "/dev/pts/", "44 122\r\n"] {
        assert!(shown.contains(text), "{text:?} in {shown}");
    }
    let notice = NOTICE.replace('\n', "\r\n") + "\r\n";
    assert!(shown.starts_with(&notice), "{shown}");
}

#[test]
fn a_terminal_for_a_command_shows_no_notice() {
    let (node, key) = Node::rented();
    let ssh = node.ssh_with(&key, &["-tt", "-o", "LogLevel=QUIET"]);
    let mut ssh = ssh;
    ssh.arg("test -t 0 && echo terminal");
    let ended = run(&mut person("nothing|", &ssh));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "terminal\r\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_shell_without_a_terminal_reads_commands() {
    let (node, key) = Node::rented();
    let mut ssh = node
        .ssh_with(&key, &["-T"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    ssh.stdin
        .take()
        .unwrap()
        .write_all(b"echo $((6 * 7))\nexit 9\n")
        .unwrap();
    let ended = finish(ssh);
    assert_eq!(
        (ended.status, ended.text()),
        (Some(9), "42\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn control_c_reaches_the_command_in_the_terminal() {
    let (node, key) = Node::rented();
    // Said by the command itself: the terminal is its own by then. What is typed sooner may reach the shell, which waits on.
    let steps = "look into it.|PS1='@''@ '
@@ |sh -c 'echo be\"\"fore; exec sleep 1000'
before|\u{3}
@@ |exit 5";
    let ended = run(&mut person(steps, &node.ssh(&key)));
    assert_eq!(ended.status, Some(5), "{}", ended.text());
}

#[test]
fn what_a_client_started_ends_with_its_connection() {
    let (node, key) = Node::rented();
    let file = node.path("pid");
    let mut ssh = node
        .ssh(&key)
        .arg(format!("echo $$ > {}; exec sleep 1000", file.display()))
        .spawn()
        .unwrap();
    let read = || fs::read_to_string(&file).unwrap_or_default();
    until("the command's start", || read().ends_with('\n'));
    let process = format!("/proc/{}", read().trim());
    assert!(fs::exists(&process).unwrap());
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    until("the command's end", || !fs::exists(&process).unwrap());
    until("the agent's end", || {
        node.backend.agents.lock().unwrap().is_empty()
    });
    until("the session's end", || node.leases.sessions(&[1; 32]) == 0);
}

#[test]
fn without_a_container_a_channel_says_so() {
    let (node, key) = Node::rented();
    node.backend.down.store(true, Ordering::Relaxed);
    let ended = run(node.ssh(&key).arg("true"));
    let expected = "jeju: the container can't be reached: the container isn't running\r\n";
    assert_eq!((ended.status, &*ended.stderr), (Some(254), expected));
}

#[test]
fn an_agent_that_is_gone_is_told_and_started_again() {
    let (node, key) = Node::rented();
    let (_master, control) = node.master(&key);
    let through = ["-o", &control];
    let ended = run(node
        .ssh_with(&key, &through)
        .arg("sleep 1; kill -9 $PPID; sleep 10"));
    assert_eq!(ended.status, Some(254));
    assert_eq!(ended.stderr, "jeju: the container is gone, or stopped\r\n");
    until("the agent's end", || {
        node.backend.agents.lock().unwrap().is_empty()
    });
    let ended = run(node.ssh_with(&key, &through).arg("echo again"));
    assert_eq!(
        (ended.status, ended.text()),
        (Some(0), "again\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(node.backend.attached.load(Ordering::Relaxed), 2);
}
