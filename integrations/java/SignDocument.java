import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.UUID;
import moica.client.ApiClient;
import moica.client.ApiException;
import moica.client.api.BrowserApi;
import moica.client.api.TransactionsApi;
import moica.client.model.DocumentRequest;
import moica.client.model.Problem;
import moica.client.model.RegistrationRequest;
import moica.client.model.SignatureRequest;
import moica.client.model.Transaction;

/**
 * Registers a user's certificate where an ID number is given, then signs one file.
 *
 * <p>Usage: {@code SignDocument USER_ID NUMBER FILE SIGNATURE}, with {@code MOICA_URL}, {@code
 * MOICA_API_KEY} and, to register first, {@code MOICA_ID_NUMBER} in the environment. Exit status: 0
 * signed, 1 it ended otherwise, 3 the gateway refused the request, 2 wrong usage.
 *
 * <p>It keeps nothing. A real document system writes its idempotency key down before it asks, and
 * the transaction's id as soon as it has it, so that it can go on after a restart.
 */
public final class SignDocument {
  private static final int WAIT_SECONDS = 20;
  private static final Duration READ_TIMEOUT = Duration.ofSeconds(WAIT_SECONDS + 10);

  private final ApiClient client;
  private final TransactionsApi transactions;
  private final BrowserApi reading;

  private SignDocument(String url, String apiKey) {
    client = new ApiClient();
    client.updateBaseUri(url);
    client.setConnectTimeout(Duration.ofSeconds(5));
    client.setReadTimeout(READ_TIMEOUT);
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + apiKey));
    transactions = new TransactionsApi(client);
    reading = new BrowserApi(client);
  }

  private Transaction register(String userId, String idNumber) throws ApiException {
    RegistrationRequest request = new RegistrationRequest().userId(userId).idNumber(idNumber);
    return ended(transactions.register(request, UUID.randomUUID().toString()));
  }

  private Transaction sign(String userId, String number, Path file)
      throws ApiException, IOException, GeneralSecurityException {
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
    DocumentRequest document =
        new DocumentRequest().number(number).sha256(HexFormat.of().formatHex(digest));
    SignatureRequest request = new SignatureRequest().userId(userId).document(document);
    return ended(transactions.sign(request, UUID.randomUUID().toString()));
  }

  /** Waits for the ending: the gateway gives every transaction one, at its deadline at the latest. */
  private Transaction ended(Transaction transaction) throws ApiException {
    Transaction now = transaction;
    System.out.println(now.getKind() + " " + now.getMatchCode());
    while (now.getStatus() == Transaction.StatusEnum.PENDING) {
      now = reading.getTransaction(now.getId(), WAIT_SECONDS, now.getVersion());
    }
    Problem error = now.getError();
    String why = error == null ? "" : " " + error.getCode() + " " + error.getUserMessage().getZhTW();
    System.out.println(now.getKind() + " " + now.getStatus() + why);
    return now;
  }

  private void save(Transaction signed, Path target) throws ApiException, IOException {
    Path artifact = transactions.getArtifact(signed.getId(), null).toPath();
    Files.move(artifact, target, StandardCopyOption.REPLACE_EXISTING);
  }

  private int run(String userId, String number, Path file, Path target, String idNumber)
      throws ApiException, IOException, GeneralSecurityException {
    if (idNumber != null
        && register(userId, idNumber).getStatus() != Transaction.StatusEnum.COMPLETED) {
      return 1;
    }
    Transaction signed = sign(userId, number, file);
    if (signed.getStatus() != Transaction.StatusEnum.COMPLETED) {
      return 1;
    }
    save(signed, target);
    return 0;
  }

  /** What the gateway refused, in its own words; anything else that came is told as such. */
  private int refused(ApiException refusal) throws IOException {
    String body = refusal.getResponseBody();
    if (refusal.getCode() < 400 || body == null) {
      System.err.println("no answer of the gateway: " + refusal.getMessage());
      return 3;
    }
    Problem problem = client.getObjectMapper().readValue(body, Problem.class);
    System.err.println(
        refusal.getCode() + " " + problem.getCode() + " " + problem.getUserMessage().getZhTW());
    return 3;
  }

  /** See the class. */
  public static void main(String[] words) throws IOException, GeneralSecurityException {
    String url = System.getenv("MOICA_URL");
    String apiKey = System.getenv("MOICA_API_KEY");
    if (words.length != 4 || url == null || apiKey == null) {
      System.err.println("usage: MOICA_URL=… MOICA_API_KEY=… SignDocument USER_ID NUMBER FILE SIGNATURE");
      System.exit(2);
    }
    SignDocument program = new SignDocument(url, apiKey);
    int status;
    try {
      Path file = Path.of(words[2]);
      Path target = Path.of(words[3]);
      status = program.run(words[0], words[1], file, target, System.getenv("MOICA_ID_NUMBER"));
    } catch (ApiException refusal) {
      status = program.refused(refusal);
    }
    System.exit(status);
  }
}
