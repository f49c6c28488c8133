// A TW FidO client by somebody else: Java 17 alone, written from the protocol's description.
//
//   BASE_URL=… SP_SERVICE_ID=… SP_AES_KEY=… ANCHORS=ca.pem java Client.java <command> …
//
//   push|qr ID_NUMBER HINT BASE64…   ask, poll, verify; several BASE64 are one batch
//   status ID_NUMBER                 whether a phone is bound
//   vectors FILE                     the checksums of a file of vectors
//
// Prints one JSON object a line, as client.mjs does.
import java.io.ByteArrayInputStream;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.*;
import java.util.stream.Collectors;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

public class Client {
  static final HexFormat HEX = HexFormat.of();
  static final HttpClient HTTP = HttpClient.newHttpClient();
  static final Map<String, String> ENV = System.getenv();

  static class Untrue extends Exception {
    Untrue(String what) { super(what); }
  }

  // -- JSON: maps, lists, strings, numbers as text ------------------------------------------------

  static class Reader {
    final String text;
    int at = 0;

    Reader(String text) { this.text = text; }

    char look() {
      while (Character.isWhitespace(text.charAt(at))) at++;
      return text.charAt(at);
    }

    Object value() {
      char first = look();
      if (first == '{') {
        Map<String, Object> map = new LinkedHashMap<>();
        at++;
        while (look() != '}') {
          if (look() == ',') at++;
          look();
          String name = string();
          look();
          at++;
          map.put(name, value());
        }
        at++;
        return map;
      }
      if (first == '[') {
        List<Object> list = new ArrayList<>();
        at++;
        while (look() != ']') {
          if (look() == ',') at++;
          list.add(value());
        }
        at++;
        return list;
      }
      if (first == '"') return string();
      int start = at;
      while (at < text.length() && ",]} \n\r\t".indexOf(text.charAt(at)) < 0) at++;
      String word = text.substring(start, at);
      return word.equals("null") ? null : word;
    }

    String string() {
      StringBuilder made = new StringBuilder();
      for (at++; text.charAt(at) != '"'; at++) {
        if (text.charAt(at) != '\\') {
          made.append(text.charAt(at));
          continue;
        }
        char next = text.charAt(++at);
        if (next == 'u') {
          made.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
          at += 4;
        } else {
          made.append(switch (next) { case 'n' -> '\n'; case 't' -> '\t'; case 'r' -> '\r'; case 'b' -> '\b'; case 'f' -> '\f'; default -> next; });
        }
      }
      at++;
      return made.toString();
    }
  }

  static String json(Object value) {
    if (value instanceof Map<?, ?> map)
      return map.entrySet().stream().map(e -> json(e.getKey()) + ":" + json(e.getValue())).collect(Collectors.joining(",", "{", "}"));
    if (value instanceof List<?> list) return list.stream().map(Client::json).collect(Collectors.joining(",", "[", "]"));
    if (value instanceof Integer) return value.toString();
    return '"' + ((String) value).replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }

  // -- checksums ----------------------------------------------------------------------------------

  static byte[] key() {
    return Base64.getDecoder().decode(ENV.get("SP_AES_KEY").replace('-', '+').replace('_', '/'));
  }

  static byte[] sha256(byte[] data) throws Exception {
    return MessageDigest.getInstance("SHA-256").digest(data);
  }

  static String seal(String payload, byte[] iv, byte[] key) throws Exception {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
    String hash = HEX.formatHex(sha256(payload.getBytes(StandardCharsets.UTF_8)));
    return HEX.formatHex(iv) + HEX.formatHex(cipher.doFinal(hash.getBytes(StandardCharsets.US_ASCII)));
  }

  static String unseal(String checksum, byte[] key) throws Exception {
    byte[] raw = HEX.parseHex(checksum);
    if (raw.length != 92) throw new Untrue("checksum: length");
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, raw, 0, 12));
    try {
      return new String(cipher.doFinal(raw, 12, 80), StandardCharsets.US_ASCII);
    } catch (AEADBadTagException wrong) {
      throw new Untrue("checksum: not under this key");
    }
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> result(Map<String, Object> answer) {
    return (Map<String, Object>) answer.get("result");
  }

  static Map<String, Object> believe(Map<String, Object> answer, Object... fields) throws Exception {
    Map<String, Object> result = result(answer);
    if (result == null || !(result.get("idp_checksum") instanceof String came)) throw new Untrue("checksum: none");
    StringBuilder payload = new StringBuilder();
    for (Object field : fields) payload.append(field == null ? "" : field);
    String expected = HEX.formatHex(sha256(payload.toString().getBytes(StandardCharsets.UTF_8)));
    if (!MessageDigest.isEqual(expected.getBytes(), unseal(came, key()).getBytes())) throw new Untrue("checksum: another answer");
    return result;
  }

  // -- the five calls -----------------------------------------------------------------------------

  @SuppressWarnings("unchecked")
  static Map<String, Object> call(String method, Map<String, Object> body, String... order) throws Exception {
    Map<String, Object> flat = new HashMap<>(body);
    if (body.get("sign_info") instanceof Map<?, ?> info) flat.putAll((Map<String, Object>) info);
    StringBuilder payload = new StringBuilder();
    for (String name : order) payload.append(flat.getOrDefault(name, ""));
    byte[] iv = new byte[12];
    new SecureRandom().nextBytes(iv);
    body.put("sp_checksum", seal(payload.toString(), iv, key()));
    HttpRequest request = HttpRequest.newBuilder(URI.create(ENV.get("BASE_URL") + "/moise/sp/" + method))
        .header("Content-Type", "application/json; charset=utf-8")
        .POST(HttpRequest.BodyPublishers.ofString(json(body))).build();
    HttpResponse<String> reply = HTTP.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    if (reply.statusCode() != 200) throw new IllegalStateException("HTTP " + reply.statusCode());
    Map<String, Object> answer = (Map<String, Object>) new Reader(reply.body()).value();
    String code = String.valueOf(answer.get("error_code")).replaceFirst("^SP-API-[A-Z]+-\\d+-", "").replaceFirst("(?s)[:\\s].*$", "");
    answer.put("code", code);
    return answer;
  }

  static Map<String, Object> request(String id) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("transaction_id", UUID.randomUUID().toString());
    body.put("sp_service_id", ENV.get("SP_SERVICE_ID"));
    body.put("id_num", id);
    return body;
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> sign(String way, String id, String hint, List<String> data) throws Exception {
    Map<String, Object> body = request(id);
    Map<String, Object> info = new LinkedHashMap<>(Map.of("sign_type", "PKCS#1", "tbs_encoding", "base64", "hash_algorithm", "SHA256"));
    String mode = way.equals("qr") ? "I-SCAN" : "PUSH";
    body.put("hint", hint);
    body.put("time_limit", "60");
    body.put("sign_info", info);
    Map<String, Object> answer;
    if (data.size() > 1) {
      body.put("op_code", "BATSIGN");
      body.put("op_mode", mode);
      info.put("sign_data_set", data);
      answer = call("doBatchSigning", body, "transaction_id", "sp_service_id", "id_num", "op_code", "op_mode", "hint");
    } else if (way.equals("qr")) {
      body.put("op_code", "SIGN");
      body.put("op_mode", mode);
      info.put("sign_data", data.get(0));
      answer = call("getSpTicket", body, "transaction_id", "sp_service_id", "id_num", "op_code", "op_mode", "hint", "sign_data");
    } else {
      body.put("op_code", "SIGN");
      info.put("sign_data", data.get(0));
      answer = call("requestAthOrSignPush", body, "transaction_id", "sp_service_id", "id_num", "device_user_def_desc", "op_code", "hint", "sign_data");
    }
    if (!answer.get("code").equals("0")) return Map.of("refused", answer.get("code"));
    String transaction = (String) body.get("transaction_id");
    String ticket = (String) result(answer).get("sp_ticket");
    believe(answer, transaction, "0", ticket);
    String[] parts = ticket.split("\\.");
    String digest = Base64.getUrlEncoder().withoutPadding().encodeToString(sha256(parts[0].getBytes(StandardCharsets.US_ASCII)));
    if (!digest.equals(parts[1])) throw new Untrue("ticket: digest");
    String inside = new String(Base64.getUrlDecoder().decode(parts[0]), StandardCharsets.UTF_8);
    Map<String, Object> seen = (Map<String, Object>) new Reader(inside).value();
    if (!transaction.equals(seen.get("transaction_id"))) throw new Untrue("ticket: another's");
    if (way.equals("qr")) say(Map.of("qr", ticket));
    while (true) {
      Thread.sleep(Long.parseLong(ENV.getOrDefault("POLL_MS", "4000")));
      Map<String, Object> poll = new LinkedHashMap<>();
      poll.put("transaction_id", transaction);
      poll.put("sp_service_id", ENV.get("SP_SERVICE_ID"));
      poll.put("sp_ticket_id", seen.get("sp_ticket_id"));
      answer = call("getAthOrSignResult", poll, "transaction_id", "sp_service_id", "sp_ticket_id");
      if (Set.of("SPTKTID_TXNLOG_NF", "20002", "20003").contains(answer.get("code"))) continue;
      if (!answer.get("code").equals("0")) return Map.of("refused", answer.get("code"));
      Map<String, Object> found = result(answer);
      believe(answer, transaction, "0", found.get("hashed_id_num"), found.get("signed_response"));
      return verify(found, data);
    }
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> verify(Map<String, Object> found, List<String> data) throws Exception {
    CertificateFactory factory = CertificateFactory.getInstance("X.509");
    X509Certificate holder = (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(Base64.getDecoder().decode((String) found.get("cert"))));
    List<X509Certificate> path = new ArrayList<>(List.of(holder));
    Set<TrustAnchor> roots = new HashSet<>();
    for (var each : factory.generateCertificates(Files.newInputStream(Path.of(ENV.get("ANCHORS"))))) {
      X509Certificate above = (X509Certificate) each;
      if (above.getSubjectX500Principal().equals(above.getIssuerX500Principal())) roots.add(new TrustAnchor(above, null));
      else path.add(above);
    }
    PKIXParameters parameters = new PKIXParameters(roots);
    parameters.setRevocationEnabled(false);
    if (ENV.containsKey("AT")) parameters.setDate(Date.from(java.time.Instant.parse(ENV.get("AT"))));
    try {
      CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(path), parameters);
    } catch (java.security.cert.CertPathValidatorException wrong) {
      throw new Untrue("certificate: no path");
    }
    List<Object> signatures = found.containsKey("signed_response_set") ? (List<Object>) found.get("signed_response_set") : List.of(found.get("signed_response"));
    if (signatures.size() != data.size()) throw new Untrue("signatures: another number");
    for (int index = 0; index < data.size(); index++) {
      Signature checked = Signature.getInstance("SHA256withRSA");
      checked.initVerify(holder.getPublicKey());
      checked.update(Base64.getDecoder().decode(data.get(index)));
      if (!checked.verify(Base64.getDecoder().decode((String) signatures.get(index)))) throw new Untrue("signature " + index + ": not over what was asked");
    }
    return Map.of("verified", signatures.size(), "subject", holder.getSubjectX500Principal().getName());
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> run(List<String> words) throws Exception {
    if (words.get(0).equals("vectors")) {
      Map<String, Object> file = (Map<String, Object>) new Reader(Files.readString(Path.of(words.get(1)))).value();
      byte[] secret = Base64.getDecoder().decode((String) file.get("aes_key_base64"));
      List<Object> all = (List<Object>) file.get("checksums");
      for (Object each : all) {
        Map<String, Object> one = (Map<String, Object>) each;
        String made = seal((String) one.get("payload"), HEX.parseHex((String) one.get("iv_hex")), secret);
        if (!made.equals(one.get("checksum")) || !unseal(made, secret).equals(one.get("sha256_hex"))) throw new Untrue((String) one.get("name"));
      }
      return Map.of("vectors", all.size());
    }
    if (words.get(0).equals("status")) {
      Map<String, Object> body = request(words.get(1));
      Map<String, Object> answer = call("checkDeviceStatus", body, "transaction_id", "sp_service_id", "id_num");
      if (!answer.get("code").equals("0")) return Map.of("refused", answer.get("code"));
      Map<String, Object> found = result(answer);
      believe(answer, body.get("transaction_id"), "0", found.get("is_fido"), found.get("is_mcert_sign"));
      return Map.of("is_fido", found.get("is_fido"), "is_mcert_sign", found.get("is_mcert_sign"));
    }
    return sign(words.get(0), words.get(1), words.get(2), words.subList(3, words.size()));
  }

  static void say(Map<String, Object> value) {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    out.println(json(value));
  }

  public static void main(String[] words) throws Exception {
    try {
      say(run(List.of(words)));
    } catch (Untrue why) {
      say(Map.of("untrue", why.getMessage()));
    }
  }
}
