// The link in a mail ends in #TOKEN, which browsers send to no server. It goes into the form, and
// out of the address. Without this script a visitor copies it there.
const code = document.getElementById("token");
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  code.value = token;
  history.replaceState(null, "", location.pathname);
}
if (code.value) {
  code.closest(".field").hidden = true;
}
