//! The RPCs there are: one table for routing, for metrics, and for the rules that hold before a handler runs.

/// How messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// One request, one response.
    Unary,
    /// One request, any number of responses, then an end.
    ServerStream,
    /// Responses go on until the client ends it: cut when the server drains.
    Subscription,
    /// Requests and responses go on until the client ends it.
    BidiStream,
}

impl Kind {
    /// The label that go-grpc-prometheus gives it.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Unary => "unary",
            Kind::ServerStream | Kind::Subscription => "server_stream",
            Kind::BidiStream => "bidi_stream",
        }
    }

    /// Whether the call ends only when one side wants it to.
    pub fn is_endless(self) -> bool {
        matches!(self, Kind::Subscription | Kind::BidiStream)
    }
}

macro_rules! methods {
    ($($service:ident $service_name:literal { $($method:ident $method_name:literal $kind:ident,)* })*) => {
        /// A group of RPCs.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Service { $($service,)* }

        /// An RPC.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Method { $($($method,)*)* }

        impl Service {
            /// By the name with its package.
            pub fn find(name: &str) -> Option<Service> {
                match name {
                    $($service_name => Some(Service::$service),)*
                    _ => None,
                }
            }

            /// The name with its package.
            pub fn name(self) -> &'static str {
                match self { $(Service::$service => $service_name,)* }
            }

            fn methods(self) -> &'static [Method] {
                match self { $(Service::$service => &[$(Method::$method,)*],)* }
            }
        }

        impl Method {
            /// In order of their numbers.
            pub const ALL: &[Method] = &[$($(Method::$method,)*)*];

            /// The service it belongs to.
            pub fn service(self) -> Service {
                match self { $($(Method::$method => Service::$service,)*)* }
            }

            /// The name without service.
            pub fn name(self) -> &'static str {
                match self { $($(Method::$method => $method_name,)*)* }
            }

            /// How its messages go.
            pub fn kind(self) -> Kind {
                match self { $($(Method::$method => Kind::$kind,)*)* }
            }
        }
    };
}

methods! {
    Kv "etcdserverpb.KV" {
        Range "Range" Unary,
        Put "Put" Unary,
        Txn "Txn" Unary,
        DeleteRange "DeleteRange" Unary,
        Compact "Compact" Unary,
        RangeStream "RangeStream" ServerStream,
    }
    Watch "etcdserverpb.Watch" {
        Watch "Watch" BidiStream,
    }
    Lease "etcdserverpb.Lease" {
        LeaseKeepAlive "LeaseKeepAlive" BidiStream,
        LeaseGrant "LeaseGrant" Unary,
        LeaseRevoke "LeaseRevoke" Unary,
        LeaseTimeToLive "LeaseTimeToLive" Unary,
        LeaseLeases "LeaseLeases" Unary,
    }
    Cluster "etcdserverpb.Cluster" {
        MemberAdd "MemberAdd" Unary,
        MemberRemove "MemberRemove" Unary,
        MemberUpdate "MemberUpdate" Unary,
        MemberList "MemberList" Unary,
        MemberPromote "MemberPromote" Unary,
    }
    Maintenance "etcdserverpb.Maintenance" {
        Alarm "Alarm" Unary,
        Status "Status" Unary,
        Defragment "Defragment" Unary,
        Hash "Hash" Unary,
        HashKv "HashKV" Unary,
        Snapshot "Snapshot" ServerStream,
        MoveLeader "MoveLeader" Unary,
        Downgrade "Downgrade" Unary,
    }
    Auth "etcdserverpb.Auth" {
        AuthEnable "AuthEnable" Unary,
        AuthDisable "AuthDisable" Unary,
        AuthStatus "AuthStatus" Unary,
        Authenticate "Authenticate" Unary,
        UserAdd "UserAdd" Unary,
        UserGet "UserGet" Unary,
        UserList "UserList" Unary,
        UserDelete "UserDelete" Unary,
        UserChangePassword "UserChangePassword" Unary,
        UserGrantRole "UserGrantRole" Unary,
        UserRevokeRole "UserRevokeRole" Unary,
        RoleAdd "RoleAdd" Unary,
        RoleGet "RoleGet" Unary,
        RoleList "RoleList" Unary,
        RoleDelete "RoleDelete" Unary,
        RoleGrantPermission "RoleGrantPermission" Unary,
        RoleRevokePermission "RoleRevokePermission" Unary,
    }
    Lock "v3lockpb.Lock" {
        Lock "Lock" Unary,
        Unlock "Unlock" Unary,
    }
    Election "v3electionpb.Election" {
        Campaign "Campaign" Unary,
        Proclaim "Proclaim" Unary,
        Leader "Leader" Unary,
        Observe "Observe" Subscription,
        Resign "Resign" Unary,
    }
    Health "grpc.health.v1.Health" {
        HealthCheck "Check" Unary,
        HealthList "List" Unary,
        HealthWatch "Watch" Subscription,
    }
    Reflection "grpc.reflection.v1.ServerReflection" {
        Reflect "ServerReflectionInfo" BidiStream,
    }
    ReflectionAlpha "grpc.reflection.v1alpha.ServerReflection" {
        ReflectAlpha "ServerReflectionInfo" BidiStream,
    }
}

/// A path that leads nowhere, with grpc-go's text for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unknown(pub String);

impl Method {
    /// By the path of a request.
    pub fn find(path: &str) -> Result<Method, Unknown> {
        let (service_name, name) = path
            .strip_prefix('/')
            .and_then(|path| path.rsplit_once('/'))
            .ok_or_else(|| Unknown(format!("malformed method name: {path:?}")))?;
        let service =
            Service::find(service_name).ok_or_else(|| Unknown(format!("unknown service {service_name}")))?;
        service
            .methods()
            .iter()
            .copied()
            .find(|method| method.name() == name)
            .ok_or_else(|| Unknown(format!("unknown method {name} for service {service_name}")))
    }

    /// The path of its requests.
    pub fn path(self) -> String {
        format!("/{}/{}", self.service().name(), self.name())
    }

    /// Whether its series show zero before it is called, as in etcd.
    pub fn is_counted_from_start(self) -> bool {
        !matches!(
            self.service(),
            Service::Lock | Service::Election | Service::Reflection | Service::ReflectionAlpha
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        for (number, method) in Method::ALL.iter().enumerate() {
            assert_eq!(*method as usize, number);
            assert_eq!(Method::find(&method.path()), Ok(*method));
        }
    }

    #[test]
    fn a_wrong_path_is_answered_in_grpc_go_words() {
        let text = |path| Method::find(path).unwrap_err().0;
        assert_eq!(text("/no.Such/Thing"), "unknown service no.Such");
        assert_eq!(
            text("/etcdserverpb.KV/Get"),
            "unknown method Get for service etcdserverpb.KV"
        );
        assert_eq!(text("nonsense"), "malformed method name: \"nonsense\"");
    }

    #[test]
    fn the_table_names_every_rpc_of_the_descriptors() {
        let pool = prost_reflect::DescriptorPool::decode(api::DESCRIPTORS).unwrap();
        for service in pool
            .services()
            .filter(|service| Service::find(service.full_name()).is_some())
        {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let found = Method::find(&path).unwrap();
                assert_eq!(
                    found.kind() == Kind::Unary,
                    !method.is_server_streaming(),
                    "{path}"
                );
            }
        }
    }
}
