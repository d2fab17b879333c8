//! A service binding: a directory with a file for each thing that is needed to connect.
//!
//! The form is that of servicebinding.io, as the Secret of a Client has it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use entente_broker::amqp::{ConnectOptions, Tls};

use crate::target::Direction;

/// Beginning of the names of files with addresses.
const ADDRESS: &str = "address.";
/// End of the names of those that one can only send to.
const SEND: &str = ".send";

/// The directory of a mounted Secret.
pub struct Binding {
    directory: PathBuf,
}

impl Binding {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// What is needed to connect, as it is now: a rotation changes it.
    pub fn options(&self) -> Result<ConnectOptions> {
        let files = self.files();
        let (host, port) = (files.needed("host")?, files.needed("port")?);
        let port = port.parse().map_err(|_| anyhow!("{} holds no port number", files.name("port")))?;
        let mut options = ConnectOptions::new(host.clone(), port, files.needed("username")?, files.needed("password")?);
        options.virtual_host = files.needed("virtual-host")?;
        let secure = files.read("uri")?.is_some_and(|uri| uri.starts_with("amqps:"));
        options.tls = match files.read("ca.crt")? {
            Some(pem) => Some(Tls::from_ca_pem(pem.as_bytes(), &host)?),
            // Never a password in plain text because a file is missing.
            None if secure => {
                bail!("{} is missing, but the uri beside it is amqps; mount the whole Secret", files.name("ca.crt"))
            }
            None => None,
        };
        Ok(options)
    }

    /// The address of an entry; without a name, of the only one.
    pub fn address(&self, entry: Option<&str>, direction: Direction) -> Result<String> {
        let files = self.files();
        let entries = files.entries()?;
        let entry = match (entry, &entries[..]) {
            (Some(entry), _) => entry,
            (None, [only]) => only,
            (None, []) => bail!(
                "there is no address in {}: give the Client an entry in spec.access, and see its status for what it may not use",
                self.directory.display()
            ),
            (None, several) => bail!("choose an address by --entry: {}", several.join(", ")),
        };
        let name = format!("{ADDRESS}{entry}");
        let sends = match direction {
            Direction::Send => files.read(&format!("{name}{SEND}"))?,
            Direction::Receive => None,
        };
        let address = match sends {
            Some(address) => Some(address),
            None => files.read(&name)?,
        };
        address.with_context(|| {
            format!(
                "there is no {name} in {}, but there is [{}]: add an entry of this name to the Client's spec.access, or see its \
                 status for why it may not be used",
                self.directory.display(),
                entries.join(", ")
            )
        })
    }

    /// Kubernetes changes all files of a mounted Secret at once, by a link to another directory. Whoever follows that link
    /// once never reads a user name from before a rotation and a password from after it.
    fn files(&self) -> Files<'_> {
        let current = fs::canonicalize(self.directory.join("..data")).unwrap_or_else(|_| self.directory.clone());
        Files { mounted: &self.directory, current }
    }
}

/// The files as they are at one moment.
struct Files<'a> {
    /// As people know it.
    mounted: &'a Path,
    current: PathBuf,
}

impl Files<'_> {
    fn name(&self, file: &str) -> String {
        self.mounted.join(file).display().to_string()
    }

    /// The text of a file without the end of its line; `None` if there is no such file, or nothing in it.
    fn read(&self, file: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.current.join(file)) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.name(file))),
        }
    }

    fn needed(&self, file: &str) -> Result<String> {
        self.read(file)?.with_context(|| {
            format!("{} is missing or empty: mount the Secret that the Client's status.binding.name names", self.name(file))
        })
    }

    /// Names of the entries that have an address.
    fn entries(&self) -> Result<Vec<String>> {
        let listing = fs::read_dir(&self.current).with_context(|| {
            format!("cannot read {}: mount the Secret that the Client's status.binding.name names there", self.mounted.display())
        })?;
        let mut entries = Vec::new();
        for file in listing {
            let name = file?.file_name();
            // Names with a further dot are other addresses of the same entry.
            let entry = name.to_str().and_then(|name| name.strip_prefix(ADDRESS)).filter(|entry| !entry.contains('.'));
            entries.extend(entry.map(str::to_owned));
        }
        entries.sort();
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const CA: &str = include_str!("../../../operator/broker/src/amqp/testdata/ca.crt");

    /// A directory that goes with the test.
    struct Mounted(PathBuf);

    impl Mounted {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let directory = std::env::temp_dir().join(format!("entente-apps-binding-{name}-{}", std::process::id()));
            let mounted = Self(directory);
            mounted.publish("..1", files);
            mounted
        }

        /// As the kubelet does: a new directory, and then the link to it is replaced.
        fn publish(&self, version: &str, files: &[(&str, &str)]) {
            let directory = self.0.join(version);
            fs::create_dir_all(&directory).unwrap();
            for (name, text) in files {
                fs::write(directory.join(name), text).unwrap();
            }
            symlink(version, self.0.join("..data_tmp")).unwrap();
            fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        }

        fn binding(&self) -> Binding {
            Binding::new(self.0.clone())
        }

        fn address(&self, entry: Option<&str>, direction: Direction) -> String {
            self.binding().address(entry, direction).unwrap_or_else(|error| format!("{error:#}"))
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files<'a>(change: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut files = vec![
            ("host", "main.entente-system.svc"),
            ("port", "5671\n"),
            ("username", "shop.web.1"),
            ("password", "s3cret"),
            ("virtual-host", "shop"),
            ("uri", "amqps://shop.web.1:s3cret@main.entente-system.svc:5671/"),
            ("ca.crt", CA),
        ];
        for (name, text) in change {
            files.retain(|(other, _)| other != name);
            files.push((name, text));
        }
        files
    }

    #[test]
    fn everything_is_in_the_binding() {
        let options = Mounted::new("all", &files(&[])).binding().options().unwrap();
        assert_eq!((options.host.as_str(), options.port), ("main.entente-system.svc", 5671));
        assert_eq!((options.username.as_str(), options.password.as_str()), ("shop.web.1", "s3cret"));
        assert_eq!(options.virtual_host, "shop");
        assert!(options.tls.is_some());
    }

    #[test]
    fn a_rotation_is_taken_up() {
        let mounted = Mounted::new("rotation", &files(&[]));
        let binding = mounted.binding();
        assert_eq!(binding.options().unwrap().username, "shop.web.1");
        mounted.publish("..2", &files(&[("username", "shop.web.2"), ("password", "0ther")]));
        let options = binding.options().unwrap();
        assert_eq!((options.username.as_str(), options.password.as_str()), ("shop.web.2", "0ther"));
    }

    #[test]
    fn plain_text_only_where_the_binding_says_so() {
        let error = Mounted::new("no-ca", &files(&[("ca.crt", "")])).binding().options().unwrap_err().to_string();
        assert!(error.contains("ca.crt") && !error.contains("s3cret"), "{error}");
        let plain = Mounted::new("plain", &files(&[("ca.crt", ""), ("uri", "amqp://h:5672/"), ("port", "5672")]));
        assert!(plain.binding().options().unwrap().tls.is_none());
    }

    #[test]
    fn what_is_missing_is_named_and_no_secret_is() {
        for name in ["host", "port", "username", "password", "virtual-host"] {
            let error = Mounted::new(name, &files(&[(name, "")])).binding().options().unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(&format!("/{name} is missing")) && !error.contains("s3cret"), "{error}");
        }
        let error = Mounted::new("bad-port", &files(&[("port", "s3cret")])).binding().options().unwrap_err().to_string();
        assert!(error.contains("no port number") && !error.contains("s3cret"), "{error}");
        let error = Binding::new("/nowhere/at/all".into()).address(None, Direction::Send).unwrap_err();
        assert!(format!("{error:#}").contains("status.binding.name"), "{error:#}");
    }

    #[test]
    fn each_direction_has_its_address() {
        let addresses = [
            ("address.orders", "/queues/orders"),
            ("address.orders.send", "/exchanges/queue.orders"),
            ("address.orders.dead", "/queues/orders.dead"),
            ("address.prices", "/exchanges/topic.prices"),
        ];
        let mounted = Mounted::new("addresses", &files(&addresses));
        assert_eq!(mounted.address(Some("orders"), Direction::Receive), "/queues/orders");
        assert_eq!(mounted.address(Some("orders"), Direction::Send), "/exchanges/queue.orders");
        assert_eq!(mounted.address(Some("orders.dead"), Direction::Receive), "/queues/orders.dead");
        assert_eq!(mounted.address(Some("prices"), Direction::Send), "/exchanges/topic.prices");
        assert!(mounted.address(None, Direction::Send).contains("--entry: orders, prices"));
        let error = mounted.address(Some("refunds"), Direction::Receive);
        assert!(error.contains("address.refunds") && error.contains("[orders, prices]"), "{error}");
    }

    #[test]
    fn the_only_address_needs_no_name() {
        let mounted = Mounted::new("only", &files(&[("address.orders", "/queues/orders")]));
        assert_eq!(mounted.address(None, Direction::Receive), "/queues/orders");
        assert!(Mounted::new("none", &files(&[])).address(None, Direction::Send).contains("spec.access"));
    }
}
