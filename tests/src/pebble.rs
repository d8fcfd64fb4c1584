//! Pebble, the ACME server that Let's Encrypt's own people made for tests of clients: it checks every signature and nonce,
//! refuses some good nonces, looks at challenges over real connections, and issues real certificates. It runs on this
//! machine's loopback, finds every name there, and forgets everything when it ends.

// Not every test that has this file uses all of it.
#![allow(dead_code, unreachable_pub)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(30);

/// A running one; it ends when this is dropped.
#[derive(Debug)]
pub struct Pebble {
    children: [Child; 2],
    /// Where it listens, on loopback.
    pub port: u16,
    management: u16,
    /// The root of its own certificate, in PEM. What it issues has another one.
    pub root_pem: String,
    folder: tempfile::TempDir,
}

impl Pebble {
    /// Starts one that looks at challenges by these ports of this machine, instead of 80 and 443, and whose own certificate
    /// is for these names and addresses.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(http: u16, https: u16, names: &[&str]) -> Result<Self, String> {
        let [port] = free_ports()?;
        Self::start_at(port, http, https, names)
    }

    /// The same, at this port.
    ///
    /// # Errors
    /// As above.
    pub fn start_at(port: u16, http: u16, https: u16, names: &[&str]) -> Result<Self, String> {
        // A month.
        Self::start_with(port, http, https, names, 31 * 86_400)
    }

    /// The same, with certificates that live for so many seconds.
    ///
    /// # Errors
    /// As above.
    pub fn start_with(port: u16, http: u16, https: u16, names: &[&str], life_s: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let root_pem = certify(folder.path(), names).map_err(|e| e.to_string())?;
        let [management, dns] = free_ports()?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": at("cert.pem"),
            "privateKey": at("key.pem"),
            "httpPort": http,
            "tlsPort": https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": life_s,
        }});
        std::fs::write(at("config.json"), config.to_string()).map_err(|e| e.to_string())?;
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            // It would sleep for up to 15 s before it looks at a challenge.
            command.env("PEBBLE_VA_NOSLEEP", "1");
            // A proof that was good once would be good for the next order too, every other time.
            command.env("PEBBLE_AUTHZREUSE", "0");
            command.spawn().map_err(|e| format!("{program}: {e}; hint: make deps"))
        };
        let dns = format!("127.0.0.1:{dns}");
        let none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:0"];
        let mut arguments = vec!["-dns01", &dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""];
        arguments.extend(none);
        let names = run("pebble-challtestsrv", &arguments)?;
        let pebble = run("pebble", &["-config", &at("config.json"), "-dnsserver", &dns]);
        let mut started = match pebble {
            Ok(pebble) => Self { children: [names, pebble], port, management, root_pem, folder },
            Err(why) => {
                let mut names = names;
                end(&mut names);
                return Err(why);
            }
        };
        started.listens().map(|()| started)
    }

    /// Its directory, for who reaches it on loopback.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The root of what it issues, in PEM.
    ///
    /// # Errors
    /// It does not say.
    pub fn issues_by(&self) -> Result<String, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(self.folder.path().join("root.pem"));
        curl.arg(format!("https://127.0.0.1:{}/roots/0", self.management));
        let output = curl.output().map_err(|e| e.to_string())?;
        if output.status.success() {
            String::from_utf8(output.stdout).map_err(|e| e.to_string())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn listens(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            for child in &mut self.children {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(format!("pebble or its name server ended: {status}"));
                }
            }
            if Instant::now() > until {
                return Err("pebble does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.children.iter_mut().for_each(end);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Its own certificate and the root of that.
fn certify(folder: &Path, names: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(vec![])?;
    root.distinguished_name.push(DnType::CommonName, "the root of pebble's own certificate");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key)?.pem();
    let key = KeyPair::generate()?;
    let names = [&["127.0.0.1", "localhost"], names].concat();
    let own = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let own = own.signed_by(&key, &Issuer::new(root, root_key))?;
    std::fs::write(folder.join("cert.pem"), own.pem())?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    std::fs::write(folder.join("root.pem"), &root_pem)?;
    Ok(root_pem)
}

/// Ports that nobody listens on now.
///
/// # Errors
/// The system's.
pub fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let held: Result<Vec<_>, _> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let ports = held.map_err(|e| e.to_string())?;
    let ports = ports.iter().map(|held| held.local_addr().map(|a| a.port()));
    let ports: Vec<u16> = ports.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    ports.try_into().map_err(|_| "not so many ports".to_owned())
}
