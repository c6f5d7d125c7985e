//! `upstreams.<name>.s3`, as it is written.

use std::time::Duration;

use crate::config::read::At;
use crate::config::section::section;

section! {
    /// `upstreams.<name>.s3`: the servers are an object store, and its routes read the objects of one bucket. Requests are signed
    /// (AWS Signature Version 4); the store is shown nothing of the client but ranges and conditions.
    struct S3 {
        /// The bucket.
        #[required = "bucket = \"lectures\""]
        bucket: String,
        /// Its region.
        region: At<String> = "us-east-1",
        /// Does the bucket stand in the path, as MinIO and Ceph have it? `false`: in the host.
        path_style: bool = true,
        /// What stands before the path in every key: `"opencast/downloads/"`. Default: nothing.
        prefix: String,
        /// A file with `aws_access_key_id`, `aws_secret_access_key` and maybe `aws_session_token`, as AWS's tools have it. Read
        /// again when it changes.
        #[required = "credentials_file = \"secrets/s3\", a file as `aws configure` writes it"]
        credentials_file: String,
        /// The section of that file.
        profile: At<String> = "default",
        /// How long an address is good for to which `respond = { presigned = … }` sends clients: as long as they play it.
        valid: Duration = "1h" in "1m"..="7d",
    }
}
