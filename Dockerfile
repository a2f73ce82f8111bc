# The service and its command line. Build: docker build -t entente .
FROM node:24-slim
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts
COPY bin bin
COPY migrations migrations
COPY src src
RUN mkdir /data && chown node:node /data
USER node
ENV ENTENTE_DATA_DIR=/data
EXPOSE 8443 8444 8080 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/bin/entente"]
CMD ["serve"]
