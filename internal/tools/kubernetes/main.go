// Command kubernetes checks manifests without a cluster: it reads what
// `kubectl kustomize` writes from standard input, decodes each object strictly into the
// type of its own API version (an unknown or misspelt field is a fault), and holds pods
// to the rules of the "restricted" Pod Security Standard that concern us.
//
// It can't tell what only a cluster knows: whether a storage class, an image or a
// controller is there, and what admission says.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func main() {
	n, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Printf("%d objects are well-formed\n", n)
}

// typeOf returns an empty object of a kind that the manifests may have.
func typeOf(apiVersion, kind string) (any, error) {
	switch apiVersion + " " + kind {
	case "v1 Namespace":
		return new(corev1.Namespace), nil
	case "v1 ConfigMap":
		return new(corev1.ConfigMap), nil
	case "v1 Service":
		return new(corev1.Service), nil
	case "apps/v1 StatefulSet":
		return new(appsv1.StatefulSet), nil
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networkingv1.NetworkPolicy), nil
	case "policy/v1 PodDisruptionBudget":
		return new(policyv1.PodDisruptionBudget), nil
	}
	return nil, fmt.Errorf("%s %s is not known here", apiVersion, kind)
}

// check returns how many objects there are.
func check(r io.Reader) (int, error) {
	var errs []error
	documents := yaml.NewYAMLReader(bufio.NewReader(r))
	for n := 0; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return n, errors.Join(errs...)
		}
		if err != nil {
			return n, err
		}
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := strict.Unmarshal(text, &head); err != nil {
			return n, err
		}
		object, err := typeOf(head.APIVersion, head.Kind)
		if err == nil {
			err = strict.UnmarshalStrict(text, object)
		}
		if set, ok := object.(*appsv1.StatefulSet); ok && err == nil {
			err = checkSet(set)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", head.Kind, head.Metadata.Name, err))
		}
	}
}

func checkSet(s *appsv1.StatefulSet) error {
	pod := s.Spec.Template.Spec
	errs := []error{checkPod(pod)}
	for key, value := range s.Spec.Selector.MatchLabels {
		if s.Spec.Template.Labels[key] != value {
			errs = append(errs, fmt.Errorf("its pods don't have the label %s=%s that it selects", key, value))
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range s.Spec.VolumeClaimTemplates {
		volumes[v.Name] = true
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				errs = append(errs, fmt.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name))
			}
		}
	}
	return errors.Join(errs...)
}

func checkPod(pod corev1.PodSpec) error {
	var errs []error
	p := pod.SecurityContext
	if p == nil || !is(p.RunAsNonRoot) || p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		errs = append(errs, errors.New("the pod does not run as another user than root with the runtime's own seccomp profile"))
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		errs = append(errs, errors.New("the pod shares the host's namespaces, or is given a token of the cluster"))
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !is(s.ReadOnlyRootFilesystem) ||
			s.Capabilities == nil || !reflect.DeepEqual(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			errs = append(errs, fmt.Errorf("container %s is not locked down", c.Name))
		}
	}
	return errors.Join(errs...)
}

func is(b *bool) bool { return b != nil && *b }
