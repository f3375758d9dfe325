//! What the real kubectl says against this API: every command that needs no node, on its real output.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use cox_tests::Cluster;

/// A cluster without a node, and kubectl's words about it.
struct Shell(Cluster);

impl Shell {
    /// On the API server alone: what is written stays as it was written.
    fn api() -> Shell {
        Shell(Cluster::api())
    }

    /// With controllers and a scheduler.
    fn control_plane() -> Shell {
        Shell(Cluster::control_plane())
    }

    /// Runs a line of a shell in which `kubectl` is the one under test: whether it succeeded, and both its outputs, with
    /// runs of blanks as one.
    fn run(&self, line: &str) -> (bool, String) {
        let out = self.0.shell(&format!("exec 2>&1\n{line}")).output().expect("a shell");
        let text = String::from_utf8_lossy(&out.stdout);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        (out.status.success(), lines.join("\n"))
    }

    /// What a line says that has to succeed.
    fn ok(&self, line: &str) -> String {
        let (success, text) = self.run(line);
        assert!(success, "{line}\n{text}\n{}", self.0.log());
        text
    }

    /// What a line says that has to fail.
    fn fails(&self, line: &str) -> String {
        let (success, text) = self.run(line);
        assert!(!success, "{line} succeeded:\n{text}");
        text
    }

    /// A line says this and no more.
    fn says(&self, line: &str, what: &str) {
        let text = self.ok(line);
        assert_eq!(text, what, "{line}");
    }

    /// A line fails, and says this and no more.
    fn refuses(&self, line: &str, what: &str) {
        let text = self.fails(line);
        assert_eq!(text, what, "{line}");
    }

    /// A line says all of this among other things.
    fn tells(&self, line: &str, what: &[&str]) {
        let text = self.ok(line);
        for part in what {
            assert!(text.contains(part), "{line}: {part:?} is not in\n{text}");
        }
    }

    /// Waits until a line says this.
    fn until(&mut self, line: &str, what: &str) {
        let Shell(cluster) = self;
        cluster.until(&format!("{line}: {what}"), 20, |cluster| {
            let out = cluster.shell(line).output().expect("a shell");
            String::from_utf8_lossy(&out.stdout).trim() == what
        });
    }
}

/// A table without its column of ages, which is the last one unless another is named.
fn ageless(table: &str) -> String {
    let is_age = |word: &&str| !(word.ends_with('s') && word.trim_end_matches('s').parse::<u32>().is_ok());
    table
        .lines()
        .map(|line| line.split(' ').filter(is_age).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn discovery_and_explain() {
    let k = Shell::api();
    k.tells("kubectl version", &["Server Version: v1.36."]);
    k.tells("kubectl cluster-info", &["Kubernetes control plane", "is running at", "https://127.0.0.1:6443"]);
    k.tells(
        "kubectl cluster-info dump -A",
        &["\"kind\": \"NodeList\"", "\"kind\": \"EventList\"", "\"kind\": \"PodList\""],
    );
    let versions = k.ok("kubectl api-versions");
    for version in [
        "apps/v1",
        "authentication.k8s.io/v1",
        "autoscaling/v2",
        "batch/v1",
        "rbac.authorization.k8s.io/v1",
        "v1",
    ] {
        assert!(versions.lines().any(|line| line == version), "{version} is not in\n{versions}");
    }
    k.says(
        "kubectl api-resources --api-group=apps --no-headers",
        "controllerrevisions apps/v1 true ControllerRevision\n\
        daemonsets ds apps/v1 true DaemonSet\ndeployments deploy apps/v1 true Deployment\n\
        replicasets rs apps/v1 true ReplicaSet\nstatefulsets sts apps/v1 true StatefulSet",
    );
    k.says("kubectl api-resources --namespaced=false --categories=all -o name", "");
    k.says(
        "kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}'",
        "https://127.0.0.1:6443",
    );
    k.tells(
        "kubectl explain deployment.spec.strategy.rollingUpdate.maxSurge",
        &["GROUP: apps", "KIND: Deployment", "VERSION: v1", "FIELD: maxSurge <IntOrString>"],
    );
    k.tells(
        "kubectl explain hpa --api-version=autoscaling/v1 --recursive",
        &["VERSION: v1", "targetCPUUtilizationPercentage <integer>"],
    );
    k.tells(
        "kubectl explain events --api-version=events.k8s.io/v1",
        &["GROUP: events.k8s.io", "KIND: Event"],
    );
    k.refuses(
        "kubectl explain pod.spec.nothing",
        "KIND: Pod\nVERSION: v1\n\nerror: field \"nothing\" does not exist",
    );
    // Every kind that is served is described.
    k.says(
        "kubectl api-resources --no-headers -o name | grep -vx events.events.k8s.io | while read -r resource; do \
         kubectl explain --recursive \"$resource\" >one.txt 2>&1 && grep -q '^FIELDS:' one.txt || { echo \"$resource\"; cat one.txt; }; done",
        "",
    );
}

#[test]
fn create_with_every_generator() {
    let k = Shell::api();
    k.says("kubectl create namespace demo", "namespace/demo created");
    k.ok("kubectl config set-context --current --namespace=demo");
    k.says(
        "kubectl create clusterrole pods-r --verb=get,list --resource=pods,deployments.apps,pods/status",
        "clusterrole.rbac.authorization.k8s.io/pods-r created",
    );
    k.says(
        "kubectl create clusterrole url --verb=get --non-resource-url='/logs/*'",
        "clusterrole.rbac.authorization.k8s.io/url created",
    );
    k.says("kubectl create clusterrole sum --aggregation-rule=a/b=true -o jsonpath='{.aggregationRule.clusterRoleSelectors[0].matchLabels}'", "{\"a/b\":\"true\"}");
    k.says("kubectl create clusterrolebinding crb --clusterrole=pods-r --user=u1 --group=g1 --serviceaccount=demo:sa1", "clusterrolebinding.rbac.authorization.k8s.io/crb created");
    k.says(
        "kubectl create role r1 --verb=get --resource=configmaps --resource-name=cm1",
        "role.rbac.authorization.k8s.io/r1 created",
    );
    k.says(
        "kubectl create rolebinding rb1 --role=r1 --user=u1",
        "rolebinding.rbac.authorization.k8s.io/rb1 created",
    );
    k.ok("printf content >file.txt");
    k.says(
        "kubectl create configmap cm1 --from-literal=a=b --from-file=file.txt -o jsonpath='{.data}'",
        "{\"a\":\"b\",\"file.txt\":\"content\"}",
    );
    k.refuses(
        "kubectl create configmap cm1",
        "error: failed to create configmap: configmaps \"cm1\" already exists",
    );
    k.says(
        "kubectl create secret generic s1 --from-literal=pw=x -o jsonpath='{.data.pw} {.type}'",
        "eA== Opaque",
    );
    k.says(
        "kubectl create secret docker-registry s2 --docker-username=u --docker-password=p --docker-server=r",
        "secret/s2 created",
    );
    k.says("kubectl create serviceaccount sa1", "serviceaccount/sa1 created");
    k.says(
        "kubectl create deployment d1 --image=busybox:1 --replicas=2 --port=80",
        "deployment.apps/d1 created",
    );
    k.says("kubectl create job j1 --image=busybox:1 -- true", "job.batch/j1 created");
    k.says(
        "kubectl create cronjob cj1 --image=busybox:1 --schedule='*/5 * * * *' -- true",
        "cronjob.batch/cj1 created",
    );
    k.says("kubectl create job j2 --from=cronjob/cj1", "job.batch/j2 created");
    k.says("kubectl create service clusterip svc1 --tcp=80:8080", "service/svc1 created");
    k.says(
        "kubectl create service clusterip headless --clusterip=None -o jsonpath='{.spec.clusterIPs}'",
        "[\"None\"]",
    );
    k.says("kubectl create service nodeport svc2 --tcp=80:8080 --node-port=30080", "service/svc2 created");
    k.says("kubectl create service loadbalancer svc3 --tcp=80", "service/svc3 created");
    k.says("kubectl create service externalname svc4 --external-name=a.example.com", "service/svc4 created");
    k.says(
        "kubectl create ingress ing1 --rule='a.example.com/x*=svc1:80,tls=s3' --class=ic",
        "ingress.networking.k8s.io/ing1 created",
    );
    k.says(
        "kubectl create poddisruptionbudget pdb1 --selector=app=d1 --min-available=1",
        "poddisruptionbudget.policy/pdb1 created",
    );
    k.says(
        "kubectl create priorityclass pc1 --value=1000 --description=x",
        "priorityclass.scheduling.k8s.io/pc1 created",
    );
    k.says("kubectl create quota q1 --hard=pods=100", "resourcequota/q1 created");
    k.says("kubectl create token sa1 --duration=10m | grep -o '\\.' | wc -l", "2");
    k.refuses("kubectl create token sa1 --duration=1s", "error: failed to create token: TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes");
    k.says(
        "kubectl run p1 --image=busybox:1 --labels=a=b --env=X=Y --port=80 --expose",
        "pod/p1 created\nservice/p1 created",
    );
    k.says("kubectl run p2 --image=busybox:1 --restart=Never -o jsonpath='{.spec.containers[0].args} {.spec.restartPolicy}' -- sleep 10", "[\"sleep\",\"10\"] Never");
    k.says("kubectl run p3 --image=busybox:1 --dry-run=server -o jsonpath='{.spec.dnsPolicy} {.status.qosClass}'", "ClusterFirst BestEffort");
    let invalid = k.fails("kubectl run P --image=busybox:1");
    for part in [
        "The Pod \"P\" is invalid:\n* metadata.name: Invalid value: \"P\": a lowercase RFC 1123 subdomain must consist of",
        "\n* spec.containers[0].name: Invalid value: \"P\": a lowercase RFC 1123 label must consist of",
    ] {
        assert!(invalid.contains(part), "{invalid}");
    }

    // === as tables ===
    assert_eq!(ageless(&k.ok("kubectl get all")), "NAME READY STATUS RESTARTS AGE\npod/p1 0/1 Pending 0\npod/p2 0/1 Pending 0\n\n\
        NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE\n".to_owned() + &k.ok("kubectl get services -o go-template='{{range .items}}service/{{.metadata.name}} {{.spec.type}} \
        {{if .spec.clusterIP}}{{.spec.clusterIP}}{{else}}<none>{{end}} {{if .spec.externalName}}{{.spec.externalName}}{{else if eq .spec.type \"LoadBalancer\"}}<pending>{{else}}<none>{{end}} \
        {{range .spec.ports}}{{.port}}{{if .nodePort}}:{{.nodePort}}{{end}}/TCP{{else}}<none>{{end}}{{\"\\n\"}}{{end}}'") + "\n\n\
        NAME READY UP-TO-DATE AVAILABLE AGE\ndeployment.apps/d1 0/2 0 0\n\n\
        NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE\ncronjob.batch/cj1 */5 * * * * <none> False 0 <none>\n\n\
        NAME STATUS COMPLETIONS DURATION AGE\njob.batch/j1 Running 0/1\njob.batch/j2 Running 0/1");
    let table = |line: &str| ageless(&k.ok(&format!("kubectl get --no-headers -o wide {line}")));
    assert_eq!(table("deployments"), "d1 0/2 0 0 busybox busybox:1 app=d1");
    assert_eq!(
        table("pods"),
        "p1 0/1 Pending 0 <none> <none> <none> <none>\np2 0/1 Pending 0 <none> <none> <none> <none>"
    );
    assert_eq!(table("ingresses"), "ing1 ic a.example.com 80, 443");
    assert_eq!(table("pdb"), "pdb1 1 N/A 0");
    assert_eq!(table("rolebindings"), "rb1 Role/r1 u1");
    assert_eq!(table("clusterrolebindings crb"), "crb ClusterRole/pods-r u1 g1 demo/sa1");
    assert_eq!(table("secrets"), "s1 Opaque 1\ns2 kubernetes.io/dockerconfigjson 1");
    assert_eq!(table("priorityclasses pc1"), "pc1 1000 false PreemptLowerPriority");
    assert_eq!(
        table("namespaces"),
        "default Active\ndemo Active\nkube-node-lease Active\nkube-public Active\nkube-system Active"
    );
    k.says(
        "kubectl get componentstatuses 2>/dev/null",
        "NAME STATUS MESSAGE ERROR\ncontroller-manager Healthy ok\netcd-0 Healthy ok\nscheduler Healthy ok",
    );
}

#[test]
fn get_in_every_form() {
    let k = Shell::api();
    for name in ["b", "a", "c"] {
        k.ok(&format!("kubectl create configmap {name} --from-literal=key={name}{name}"));
    }
    k.ok("kubectl label configmap a tier=front && kubectl label configmap b tier=back");
    k.says("kubectl get cm -o name", "configmap/a\nconfigmap/b\nconfigmap/c");
    k.says("kubectl get cm/a cm/c -o name", "configmap/a\nconfigmap/c");
    k.says(
        "kubectl get cm --sort-by=.metadata.creationTimestamp --chunk-size=1 -o name | sort",
        "configmap/a\nconfigmap/b\nconfigmap/c",
    );
    k.says(
        "kubectl get cm --sort-by='{.data.key}' --no-headers -o custom-columns=N:.metadata.name,K:.data.key",
        "a aa\nb bb\nc cc",
    );
    k.says(
        "kubectl get cm -o custom-columns=N:.metadata.name,X:.data.none",
        "N X\na <none>\nb <none>\nc <none>",
    );
    k.says(
        "kubectl get cm -o jsonpath='{range .items[*]}{.metadata.name}={.data.key};{end}'",
        "a=aa;b=bb;c=cc;",
    );
    k.says("kubectl get cm a -o go-template='{{.data.key}}'", "aa");
    k.says("kubectl get cm a -o yaml | grep -v -e creationTimestamp -e uid -e resourceVersion", "apiVersion: v1\ndata:\nkey: aa\nkind: ConfigMap\nmetadata:\nlabels:\ntier: front\nname: a\nnamespace: default");
    k.says("kubectl get cm a -o json --show-managed-fields | grep -c managedFields", "1");
    k.says("kubectl get cm -o kyaml a | head -n 4 | tail -n 3", "{\napiVersion: \"v1\",\ndata: {");
    k.says("kubectl get cm -l tier=front -o name", "configmap/a");
    k.says("kubectl get cm -l '!tier' -o name", "configmap/c");
    k.says("kubectl get cm -l 'tier in (front,back)' -L tier --no-headers --sort-by=.metadata.name | awk '{print $1, $4}'", "a front\nb back");
    k.says("kubectl get cm --field-selector metadata.name=b -o name", "configmap/b");
    assert_eq!(
        ageless(&k.ok("kubectl get cm --show-labels")),
        "NAME DATA AGE LABELS\na 1 tier=front\nb 1 tier=back\nc 1 <none>"
    );
    assert_eq!(
        ageless(&k.ok("kubectl get cm -A --no-headers --chunk-size=2 | grep -v kube-root-ca")),
        "default a 1\ndefault b 1\ndefault c 1"
    );
    k.says(
        "kubectl get --raw /api/v1/namespaces/default/configmaps/a | grep -o '\"data\":{[^}]*}'",
        "\"data\":{\"key\":\"aa\"}",
    );
    k.says("kubectl get pods", "No resources found in default namespace.");
    k.says("kubectl get nodes", "No resources found");
    k.refuses("kubectl get cm none", "Error from server (NotFound): configmaps \"none\" not found");
    k.refuses("kubectl get nothing", "error: the server doesn't have a resource type \"nothing\"");
    k.refuses("kubectl get cm --field-selector data.key=x", "Error from server (BadRequest): Unable to find \"/v1, Resource=configmaps\" that match label selector \"\", field selector \"data.key=x\": \"data.key\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    k.says("kubectl get cm none --ignore-not-found", "");

    // A watch tells of each change as it happens, in the form that was asked for.
    let watch = |form: &str| {
        let mut child = k.0.kubectl_command(&[
            "get",
            "cm",
            "--field-selector",
            "metadata.name=w",
            "-w",
            "--output-watch-events",
            "-o",
            form,
        ]);
        let mut child = child.stdout(Stdio::piped()).spawn().expect("kubectl starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        (child, lines.map(|line| line.expect("text").split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    let (mut first, mut table) = watch("wide");
    let (mut second, mut custom) = watch("jsonpath={.type} {.object.data.key}{\"\\n\"}");
    k.ok("kubectl create configmap w --from-literal=key=1");
    assert_eq!(table.next().as_deref(), Some("EVENT NAME DATA AGE"));
    assert_eq!(table.next().map(|line| ageless(&line)).as_deref(), Some("ADDED w 1"));
    assert_eq!(custom.next().as_deref(), Some("ADDED 1"));
    k.ok("kubectl patch configmap w -p '{\"data\":{\"key\":\"2\",\"more\":\"\"}}' && kubectl delete configmap w");
    assert_eq!(table.next().map(|line| ageless(&line)).as_deref(), Some("MODIFIED w 2"));
    assert_eq!(table.next().map(|line| ageless(&line)).as_deref(), Some("DELETED w 2"));
    assert_eq!((custom.next().as_deref(), custom.next().as_deref()), (Some("MODIFIED 2"), Some("DELETED 2")));
    for child in [&mut first, &mut second] {
        k.ok(&format!("kill {}", child.id()));
        child.wait().expect("it ends");
    }
}

#[test]
fn change_objects() {
    let k = Shell::api();
    k.ok("printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: c}\\ndata: {a: one, b: two}\\n' >c.yaml; sed s/one/ONE/ c.yaml | sed 's/, b: two//' >d.yaml");
    k.says("kubectl apply -f c.yaml", "configmap/c created");
    k.says("kubectl apply -f c.yaml", "configmap/c unchanged");
    let diff = k.fails("kubectl diff -f d.yaml");
    assert!(diff.contains("- a: one\n- b: two\n+ a: ONE"), "{diff}");
    k.says("kubectl diff -f c.yaml", "");
    k.says("kubectl apply -f d.yaml --dry-run=server", "configmap/c configured (server dry run)");
    k.says("kubectl apply -f d.yaml", "configmap/c configured");
    k.says("kubectl get cm c -o jsonpath='{.data}'", "{\"a\":\"ONE\"}");
    k.says("kubectl apply view-last-applied cm/c -o json | grep -c ONE", "1");
    k.says("kubectl apply set-last-applied -f c.yaml", "configmap/c configured");
    k.refuses("sed 's/a: one/a: 1/' c.yaml | kubectl create --validate=ignore --dry-run=server -f -", "Error from server (BadRequest): error when creating \"STDIN\": ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string");
    let strict = k.fails("{ cat d.yaml; echo 'nothing: x'; } | kubectl apply -f -");
    assert!(
        strict.starts_with("The request is invalid: patch: Invalid value: ")
            && strict.ends_with("strict decoding error: unknown field \"nothing\""),
        "{strict}"
    );

    // === server-side, and who owns what ===
    k.says(
        "kubectl apply --server-side -f c.yaml --field-manager=other 2>&1 | head -n 1",
        "error: Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a",
    );
    k.says(
        "kubectl apply --server-side -f c.yaml --field-manager=other --force-conflicts",
        "configmap/c serverside-applied",
    );
    k.says("kubectl get cm c -o jsonpath='{.data}'", "{\"a\":\"one\",\"b\":\"two\"}");
    k.says("kubectl apply --server-side -f c.yaml --force-conflicts", "configmap/c serverside-applied");

    // === prune ===
    k.says("KUBECTL_APPLYSET=true; export KUBECTL_APPLYSET; \
        { cat c.yaml; echo ---; sed 's/name: c/name: e/' c.yaml; } | kubectl apply -n kube-public --prune --applyset=set1 -f -", "configmap/c created\nconfigmap/e created");
    k.says(
        "KUBECTL_APPLYSET=true kubectl apply -n kube-public --prune --applyset=set1 -f c.yaml 2>&1",
        "configmap/c unchanged\nconfigmap/e pruned",
    );
    k.says("kubectl get cm,secret -n kube-public -o name | grep -v kube-root-ca", "configmap/c\nsecret/set1");

    // === edit, replace, patch ===
    k.says("KUBE_EDITOR='sed -i s/one/edited/' kubectl edit cm c", "configmap/c edited");
    k.says("KUBE_EDITOR=true kubectl edit cm c", "Edit cancelled, no changes made.");
    k.says(
        "kubectl get cm c -o yaml | sed s/edited/replaced/ | kubectl replace -f -",
        "configmap/c replaced",
    );
    k.says("kubectl get cm c -o jsonpath='{.data.a}'", "replaced");
    k.refuses("kubectl get cm c -o yaml | sed 's/resourceVersion: .*/resourceVersion: \"1\"/' | kubectl replace -f -", "Error from server (Conflict): error when replacing \"STDIN\": Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please apply your changes to the latest version and try again");
    k.says(
        "kubectl replace --force -f c.yaml",
        "configmap \"c\" deleted from default namespace\nconfigmap/c replaced",
    );
    k.says("kubectl patch cm c -p '{\"data\":{\"x\":\"1\"}}'", "configmap/c patched");
    k.says("kubectl patch cm c -p '{\"data\":{\"x\":\"1\"}}'", "configmap/c patched (no change)");
    k.says(
        "kubectl patch cm c --type=merge -p '{\"data\":{\"a\":null}}' -o jsonpath='{.data}'",
        "{\"b\":\"two\",\"x\":\"1\"}",
    );
    k.says("kubectl patch cm c --type=json -p '[{\"op\":\"replace\",\"path\":\"/data/x\",\"value\":\"9\"}]' -o jsonpath='{.data.x}'", "9");
    k.refuses(
        "kubectl patch cm c --type=json -p '[{\"op\":\"remove\",\"path\":\"/data/none\"}]'",
        "The request is invalid: the server rejected our request due to an error in our request",
    );
    k.says("kubectl label cm c k=v && kubectl label cm c k=w --overwrite && kubectl get cm -l k=w -o name && kubectl label cm c k-", "configmap/c labeled\nconfigmap/c labeled\nconfigmap/c\nconfigmap/c unlabeled");
    k.refuses(
        "kubectl label cm c k=v && kubectl label cm c k=w",
        "configmap/c labeled\nerror: 'k' already has a value (v), and --overwrite is false",
    );
    k.says("kubectl annotate cm c note=x && kubectl annotate cm --all note- && kubectl annotate cm c --list | grep -c ^note; true", "configmap/c annotated\nconfigmap/c annotated\n0");
}

#[test]
fn set_scale_wait_and_delete() {
    let k = Shell::api();
    k.ok("kubectl create deployment d --image=busybox:1 && kubectl run p --image=busybox:1 && kubectl create service clusterip s --tcp=80 && kubectl create clusterrolebinding b --clusterrole=view --user=u1");
    k.says("kubectl set image deployment/d busybox=busybox:2", "deployment.apps/d image updated");
    k.says(
        "kubectl set env deployment/d A=1 B=2 && kubectl set env deployment/d A- --list",
        "deployment.apps/d env updated\n# Deployment d, container busybox\nB=2",
    );
    k.says(
        "kubectl set resources deployment/d --limits=cpu=200m,memory=64Mi --requests=cpu=100m",
        "deployment.apps/d resource requirements updated",
    );
    k.says("kubectl get deployment d -o jsonpath='{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].resources}'", "busybox:2 {\"limits\":{\"cpu\":\"200m\",\"memory\":\"64Mi\"},\"requests\":{\"cpu\":\"100m\"}}");
    k.says("kubectl set selector service s a=b -o jsonpath='{.spec.selector}'", "{\"a\":\"b\"}");
    k.says("kubectl set serviceaccount deployment/d sa1", "deployment.apps/d serviceaccount updated");
    k.says(
        "kubectl set subject clusterrolebinding b --group=g1",
        "clusterrolebinding.rbac.authorization.k8s.io/b subjects updated",
    );
    k.says("kubectl scale deployment/d --replicas=3 --current-replicas=1 && kubectl get deployment d -o jsonpath='{.spec.replicas}'", "deployment.apps/d scaled\n3");
    k.refuses(
        "kubectl scale deployment/d --replicas=3 --current-replicas=1",
        "error: Expected replicas to be 1, was 3",
    );
    k.says("kubectl get deployment d --subresource=scale -o jsonpath='{.kind} {.spec.replicas}'", "Scale 3");
    k.says("kubectl wait pod/p --for=jsonpath='{.status.phase}'=Pending --timeout=5s", "pod/p condition met");
    k.refuses(
        "kubectl wait pod/p --for=condition=Ready --timeout=100ms",
        "error: timed out waiting for the condition on pods/p",
    );
    k.says(
        "{ kubectl wait cm/late --for=create --timeout=20s & kubectl create cm late >/dev/null; wait; }",
        "configmap/late condition met",
    );
    k.says(
        "kubectl delete cm late --wait=false >/dev/null; kubectl wait cm/late --for=delete --timeout=20s",
        "",
    );
    k.says("kubectl patch pod p --subresource=status -p '{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}' && kubectl wait pod/p --for=condition=Ready --timeout=5s", "pod/p patched\npod/p condition met");
    k.says(
        "kubectl expose deployment d --port=80 --target-port=8080 --name=exposed",
        "service/exposed exposed",
    );
    k.says(
        "kubectl expose pod p --port=81 -o jsonpath='{.spec.selector} {.spec.ports[0].targetPort}'",
        "{\"run\":\"p\"} 81",
    );
    k.says(
        "kubectl autoscale deployment d --min=1 --max=3 --cpu=50%",
        "horizontalpodautoscaler.autoscaling/d autoscaled",
    );
    assert_eq!(ageless(&k.ok("kubectl get hpa --no-headers")), "d Deployment/d cpu: <unknown>/50% 1 3 0");

    // === ephemeral containers ===
    k.tells("kubectl debug p --image=busybox:1 --attach=false -c dbg -- sh", &[]);
    k.says("kubectl get pod p -o jsonpath='{.spec.ephemeralContainers[0].name} {.spec.ephemeralContainers[0].image} {.spec.ephemeralContainers[0].command}'", "dbg busybox:1 [\"sh\"]");

    // === what needs a node says so ===
    k.refuses(
        "kubectl exec p -c p -- ls",
        "error: unable to upgrade connection: pod p does not have a host assigned",
    );
    k.says("kubectl logs p -c p", "");
    k.fails("kubectl cp c.yaml p:/tmp/x");
    k.refuses(
        "kubectl port-forward p 8080:80",
        "error: unable to forward port because pod is not running. Current status=Pending",
    );
    k.refuses("kubectl top pods", "error: Metrics API not available");
    k.refuses("kubectl plugin list", "error: unable to find any kubectl plugins in your PATH");

    // === delete ===
    k.says("kubectl delete pod p --now", "pod \"p\" deleted from default namespace");
    k.says("kubectl run p --image=busybox:1 && kubectl delete pod p --force --grace-period=0", "pod/p created\nWarning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\npod \"p\" force deleted from default namespace");
    k.refuses("kubectl delete pod p", "Error from server (NotFound): pods \"p\" not found");
    k.says("kubectl delete deployment d --cascade=foreground --wait=false && kubectl get deployment d -o jsonpath='{.metadata.finalizers}'", "deployment.apps \"d\" deleted from default namespace\n[\"foregroundDeletion\"]");
    k.says("kubectl create deployment o --image=busybox:1 && kubectl delete deployment o --cascade=orphan --wait=false && kubectl get deployment o -o jsonpath='{.metadata.finalizers}'", "deployment.apps/o created\ndeployment.apps \"o\" deleted from default namespace\n[\"orphan\"]");
    k.says("kubectl delete svc -l app=s && kubectl delete svc exposed p --dry-run=server", "service \"s\" deleted from default namespace\nservice \"exposed\" deleted from default namespace (server dry run)\nservice \"p\" deleted from default namespace (server dry run)");
    k.says("kubectl create cm x && kubectl create cm y && kubectl delete cm --field-selector metadata.name!=kube-root-ca.crt", "configmap/x created\nconfigmap/y created\nconfigmap \"x\" deleted from default namespace\nconfigmap \"y\" deleted from default namespace");
}

#[test]
fn who_may_what() {
    let k = Shell::api();
    k.tells("kubectl auth whoami", &["Username", "system:masters", "system:authenticated"]);
    k.says("kubectl auth whoami --as=u1 --as-group=g1 -o jsonpath='{.status.userInfo.username} {.status.userInfo.groups}'", "u1 [\"g1\",\"system:authenticated\"]");
    k.says("kubectl auth can-i create pods", "yes");
    k.refuses("kubectl auth can-i create pods --as=u1", "no");
    k.ok("kubectl create clusterrole cr --verb=get,list --resource=pods,deployments.apps && kubectl create rolebinding rb --clusterrole=cr --user=u1");
    k.says("kubectl auth can-i get deployments.apps --as=u1", "yes");
    k.tells(
        "kubectl auth can-i --list --as=u1",
        &[
            "\npods [] [] [get list]",
            "\ndeployments.apps [] [] [get list]",
            "\nselfsubjectreviews.authentication.k8s.io [] [] [create]",
            "\n[/version] [] [get]",
        ],
    );
    k.refuses("kubectl get cm --as=u1", "Error from server (Forbidden): configmaps is forbidden: User \"u1\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"");
    k.ok(
        "kubectl create role r --verb=get --resource=configmaps --dry-run=client -n default -o yaml >r.yaml",
    );
    k.tells(
        "kubectl auth reconcile -f r.yaml",
        &["role.rbac.authorization.k8s.io/r reconciled", "reconciliation required create"],
    );
    k.ok("kubectl create role r --verb=get,list --resource=configmaps --dry-run=client -n default -o yaml >r.yaml");
    k.tells("kubectl auth reconcile -f r.yaml", &["reconciliation required update", "missing rules added:"]);
    k.refuses("kubectl create role more --verb=get --resource=secrets --as=u1", "Error from server (Forbidden): roles.rbac.authorization.k8s.io is forbidden: User \"u1\" cannot create resource \"roles\" in API group \"rbac.authorization.k8s.io\" in the namespace \"default\"");

    // === certificates ===
    k.ok("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=me -out me.csr 2>/dev/null; for name in good bad; do \
        printf 'apiVersion: certificates.k8s.io/v1\\nkind: CertificateSigningRequest\\nmetadata: {name: %s}\\nspec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], request: %s}\\n' $name $(base64 -w0 me.csr) | kubectl create -f -; done");
    assert_eq!(
        ageless(&k.ok("kubectl get csr --no-headers good")),
        "good kubernetes.io/kube-apiserver-client admin <none> Pending"
    );
    k.says("kubectl certificate approve good", "certificatesigningrequest.certificates.k8s.io/good approved");
    k.says("kubectl certificate deny bad", "certificatesigningrequest.certificates.k8s.io/bad denied");
    k.says("kubectl get csr --no-headers | awk '{print $1, $NF}'", "bad Denied\ngood Approved");
    k.refuses(
        "kubectl certificate approve bad",
        "error: certificate signing request \"bad\" is already Denied",
    );
}

#[test]
fn nodes_by_hand() {
    let k = Shell::api();
    k.ok("printf 'apiVersion: v1\\nkind: Node\\nmetadata: {name: n1}\\nstatus: {conditions: [{type: Ready, status: \"True\"}], nodeInfo: {kubeletVersion: v1.36.0}}\\n' | kubectl create -f -");
    assert_eq!(
        ageless(&k.ok("kubectl get node n1")),
        "NAME STATUS ROLES AGE VERSION\nn1 Ready <none> v1.36.0"
    );
    k.says(
        "kubectl taint node n1 a=b:NoSchedule && kubectl taint node n1 a=c:NoSchedule --overwrite",
        "node/n1 tainted\nnode/n1 modified",
    );
    k.refuses(
        "kubectl taint node n1 a=b:NoSchedule",
        "error: node n1 already has a taint(s) with same effect(s) and --overwrite is false",
    );
    k.says("kubectl taint node n1 a-", "node/n1 untainted");
    k.says(
        "kubectl cordon n1 && kubectl cordon n1 && kubectl get node n1 --no-headers | awk '{print $2}'",
        "node/n1 cordoned\nnode/n1 already cordoned\nReady,SchedulingDisabled",
    );
    k.says("kubectl uncordon n1", "node/n1 uncordoned");
    k.ok("kubectl label node n1 node-role.kubernetes.io/worker= && for n in a b; do kubectl run $n --image=busybox:1 --labels=app=x --overrides='{\"spec\":{\"nodeName\":\"n1\"}}'; done");
    k.says("kubectl get node n1 --no-headers | awk '{print $3}'", "worker");
    k.refuses("kubectl drain n1", "node/n1 cordoned\nerror: unable to drain node \"n1\" due to error: cannot delete Pods that declare no controller (use --force to override): default/a, default/b, continuing command...\nThere are pending nodes to be drained:\nn1\ncannot delete Pods that declare no controller (use --force to override): default/a, default/b");
    k.tells(
        "kubectl drain n1 --force --grace-period=0",
        &[
            "Warning: deleting Pods that declare no controller: default/a, default/b",
            "evicting pod default/a",
            "pod/a evicted",
            "pod/b evicted",
            "node/n1 drained",
        ],
    );
    k.says("kubectl get pods -o name", "");
}

#[test]
fn rollouts() {
    let mut k = Shell::control_plane();
    k.ok("kubectl create deployment d --image=busybox:1 --replicas=2");
    k.until("kubectl get pods -l app=d -o name | wc -l", "2");
    k.says(
        "kubectl rollout status deployment/d --watch=false",
        "Waiting for deployment \"d\" rollout to finish: 0 of 2 updated replicas are available...",
    );
    // No node here: what its agent would report is reported by hand.
    let ready = "for p in $(kubectl get pods -l app=d -o name); do kubectl patch $p --subresource=status -p \
        '{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"2020-01-01T00:00:00Z\"}]}}'; done >/dev/null";
    k.ok(ready);
    k.says(
        "kubectl rollout status deployment/d --timeout=20s | tail -n 1",
        "deployment \"d\" successfully rolled out",
    );
    k.says("kubectl get deployment d --no-headers | awk '{print $2, $3, $4}'", "2/2 2 2");
    k.says("kubectl rollout pause deployment/d && kubectl set image deployment/d busybox=busybox:2 && kubectl annotate deployment/d kubernetes.io/change-cause=second", "deployment.apps/d paused\ndeployment.apps/d image updated\ndeployment.apps/d annotated");
    k.refuses("kubectl rollout pause deployment/d", "error: deployments.apps \"d\" is already paused");
    k.says("kubectl rollout resume deployment/d", "deployment.apps/d resumed");
    k.until(
        "kubectl rollout history deployment/d | tail -n +3 | awk 'NF {print $1, $2}' | tr '\\n' ' '",
        "1 <none> 2 second",
    );
    k.tells(
        "kubectl rollout history deployment/d --revision=2",
        &[
            "deployment.apps/d with revision #2",
            "Annotations: kubernetes.io/change-cause: second",
            "Image: busybox:2",
        ],
    );
    k.says("kubectl rollout undo deployment/d", "deployment.apps/d rolled back");
    k.until("kubectl rollout history deployment/d | tail -n +3 | awk 'NF {print $1}' | tr '\\n' ' '", "2 3");
    k.says("kubectl get deployment d -o jsonpath='{.spec.template.spec.containers[0].image}'", "busybox:1");
    k.refuses(
        "kubectl rollout undo deployment/d --to-revision=9",
        "error: unable to find specified revision 9 in history",
    );
    k.says("kubectl rollout restart deployment/d", "deployment.apps/d restarted");
    k.tells(
        "kubectl events --for deployment/d",
        &[
            "LAST SEEN TYPE REASON OBJECT MESSAGE",
            "Normal ScalingReplicaSet Deployment/d Scaled up replica set d-",
        ],
    );
    k.tells(
        "kubectl describe deployment d",
        &[
            "Replicas: 2 desired",
            "StrategyType: RollingUpdate",
            "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
            "ScalingReplicaSet",
        ],
    );

    // === cascades ===
    k.says(
        "kubectl delete deployment d --cascade=orphan",
        "deployment.apps \"d\" deleted from default namespace",
    );
    let sets = k.ok("kubectl get replicasets -l app=d -o name | wc -l");
    assert_ne!(sets, "0", "orphans stay");
    k.ok("kubectl delete replicasets -l app=d --cascade=foreground");
    k.says("kubectl get pods -l app=d -o name", "");
    k.ok("kubectl create deployment e --image=busybox:1");
    k.until("kubectl get pods -l app=e -o name | wc -l", "1");
    k.says("kubectl delete deployment e", "deployment.apps \"e\" deleted from default namespace");
    k.until("kubectl get pods,replicasets -l app=e -o name | wc -l", "0");
    k.says("kubectl create namespace gone && kubectl create configmap c -n gone && kubectl delete namespace gone", "namespace/gone created\nconfigmap/c created\nnamespace \"gone\" deleted");

    // === the other kinds with revisions ===
    k.ok("printf 'apiVersion: apps/v1\\nkind: StatefulSet\\nmetadata: {name: s}\\nspec:\\n  serviceName: s\\n  selector: {matchLabels: {app: s}}\\n  template:\\n    metadata: {labels: {app: s}}\\n    spec: {containers: [{name: c, image: \"busybox:1\"}]}\\n' >s.yaml; kubectl create -f s.yaml; \
        sed -e s/StatefulSet/DaemonSet/ -e '/serviceName/d' s.yaml | kubectl create -f -");
    for kind in ["statefulset", "daemonset"] {
        k.until(&format!("kubectl rollout history {kind}/s | tail -n +3 | awk 'NF {{print $1}}'"), "1");
        k.ok(&format!("kubectl rollout restart {kind}/s"));
        k.until(
            &format!("kubectl rollout history {kind}/s | tail -n +3 | awk 'NF {{print $1}}' | tr '\\n' ' '"),
            "1 2",
        );
        k.says(&format!("kubectl rollout undo {kind}/s"), &format!("{kind}.apps/s rolled back"));
    }
    k.tells("kubectl rollout status statefulset/s --watch=false", &["Waiting for"]);
    k.tells(
        "kubectl rollout status daemonset/s --watch=false",
        &["daemon set \"s\" successfully rolled out"],
    );
}

#[test]
fn describe_every_kind() {
    let mut k = Shell::control_plane();
    k.ok("kubectl create namespace demo && kubectl config set-context --current --namespace=demo");
    k.ok("kubectl create deployment d --image=busybox:1 --port=80 && kubectl expose deployment d && kubectl autoscale deployment d --min=1 --max=3 --cpu=50% && \
        kubectl create job j --image=busybox:1 && kubectl create cronjob cj --image=busybox:1 --schedule='0 0 1 1 *' && kubectl create ingress i --default-backend=d:80 && \
        kubectl create pdb b --selector=app=d --min-available=1 && kubectl create quota q --hard=configmaps=9 && kubectl create role r --verb=get --resource=pods && \
        kubectl create rolebinding rb --role=r --user=u && kubectl create secret generic s --from-literal=a=b && kubectl create token default >/dev/null");
    k.ok("{ printf 'apiVersion: v1\\nkind: Node\\nmetadata: {name: n1}\\n---\\napiVersion: v1\\nkind: PersistentVolume\\nmetadata: {name: v}\\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}\\n---\\n'; \
        printf 'apiVersion: v1\\nkind: PersistentVolumeClaim\\nmetadata: {name: c}\\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\\n---\\napiVersion: v1\\nkind: LimitRange\\nmetadata: {name: l}\\nspec: {limits: [{type: Container, default: {cpu: 1}}]}\\n---\\n'; \
        printf 'apiVersion: storage.k8s.io/v1\\nkind: StorageClass\\nmetadata: {name: sc}\\nprovisioner: x\\n---\\napiVersion: networking.k8s.io/v1\\nkind: IngressClass\\nmetadata: {name: ic}\\nspec: {controller: example.com/x}\\n---\\n'; \
        printf 'apiVersion: node.k8s.io/v1\\nkind: RuntimeClass\\nmetadata: {name: rc}\\nhandler: x\\n'; } | kubectl create -f -");
    k.until("kubectl get resourcequota q -o jsonpath='{.status.used.configmaps}'", "1");
    k.until("kubectl get pods -l app=d -o jsonpath='{.items[*].status.conditions[?(@.type==\"PodScheduled\")].reason}'", "Unschedulable");
    k.until("kubectl get events --field-selector reason=FailedScheduling,involvedObject.kind=Pod -o name | grep -m 1 -o '/d-'", "/d-");
    k.tells(
        "kubectl describe pods -l app=d",
        &[
            "Status: Pending",
            "Controlled By: ReplicaSet/d-",
            "PodScheduled False",
            "QoS Class: BestEffort",
            "Warning FailedScheduling",
        ],
    );
    k.tells(
        "kubectl describe rs -l app=d",
        &["Replicas: 1 current / 1 desired", "Controlled By: Deployment/d", "SuccessfulCreate"],
    );
    k.tells(
        "kubectl describe svc d",
        &["Selector: app=d", "Port: <unset> 80/TCP", "Endpoints:", "Session Affinity: None"],
    );
    k.tells(
        "kubectl describe hpa d",
        &[
            "Reference: Deployment/d",
            "Min replicas: 1",
            "Max replicas: 3",
            "resource cpu on pods (as a percentage of request): <unknown> / 50%",
        ],
    );
    k.tells("kubectl describe job j", &["Completions: 1", "Parallelism: 1", "Pods Statuses: 1 Active"]);
    k.tells(
        "kubectl describe cronjob cj",
        &["Schedule: 0 0 1 1 *", "Concurrency Policy: Allow", "Suspend: False"],
    );
    k.tells("kubectl describe ingress i", &["Default backend: d:80", "Rules:"]);
    k.tells("kubectl describe pdb b", &["Min available: 1", "Allowed disruptions: 0"]);
    k.tells("kubectl describe quota q", &["Resource Used Hard", "configmaps 1 9"]);
    k.tells("kubectl describe limits l", &["Container cpu - - 1 1 -"]);
    k.tells("kubectl describe role r", &["pods [] [] [get]"]);
    k.tells("kubectl describe rolebinding rb", &["Kind: Role\nName: r", "User u"]);
    k.tells("kubectl describe secret s", &["Type: Opaque", "a: 1 bytes"]);
    k.tells("kubectl describe sa default", &["Name: default", "Image pull secrets: <none>"]);
    k.tells(
        "kubectl describe namespace demo",
        &["Status: Active", "Resource Quotas", "configmaps 1 9", "Container cpu - - 1 1 -"],
    );
    k.tells(
        "kubectl describe node n1",
        &["Taints:", "Unschedulable: false", "Non-terminated Pods: (0 in total)"],
    );
    k.tells("kubectl describe pv v", &["Status:", "Reclaim Policy: Retain", "Capacity: 1Gi", "Path: /x"]);
    k.tells("kubectl describe pvc c", &["Status:", "Used By: <none>", "VolumeMode: Filesystem"]);
    k.tells(
        "kubectl describe sc sc",
        &["Provisioner: x", "ReclaimPolicy: Delete", "VolumeBindingMode: Immediate"],
    );
    k.tells("kubectl describe ingressclass ic", &["Controller: example.com/x"]);
    k.tells("kubectl describe runtimeclass rc", &["Handler: x"]);
    k.tells(
        "kubectl describe priorityclass system-node-critical",
        &["Value: 2000001000", "GlobalDefault: false"],
    );
    k.tells(
        "kubectl describe endpointslices -l kubernetes.io/service-name=d",
        &["AddressType: IPv4", "Endpoints: <none>"],
    );
    k.tells("kubectl describe clusterrole view", &["pods/log [] [] [get list watch]"]);
    // The rest has no describer of its own in kubectl or no object here, and doesn't fail.
    k.says(
        "kubectl api-resources --no-headers --verbs=list -o name | while read -r resource; do kubectl describe \"$resource\" -A >one.txt 2>&1 || { echo \"$resource\"; cat one.txt; }; done",
        "",
    );
    // What is in use is protected from deletion; these aren't.
    k.ok("kubectl delete pvc c --timeout=20s && kubectl delete pv v --timeout=20s");
    k.ok("printf 'apiVersion: v1\\nkind: PersistentVolumeClaim\\nmetadata: {name: c}\\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\\n' | kubectl create -f - && \
        kubectl delete namespace demo --timeout=60s");
}
