// English word ← the same in Spanish, German, French, Portuguese, Italian, Dutch, Russian, Chinese
// and Japanese: the few words that decide a domain. Accents are taken off before the look-up.
const seeds: Readonly<Record<string, string>> = {
  mine: "mina minas mineria bergbau bergwerk mines mineracao miniera miniere mijn шахта рудник 矿山 矿 鉱山",
  ore: "mineral minerai minerio erz erze minerale minerali erts руда руды 矿石 鉱石",
  gold: "oro ouro goud золото золота 金矿 金鉱",
  copper: "cobre kupfer cuivre rame koper медь меди 铜 銅",
  iron: "hierro eisen fer ferro ijzer железо 铁 鉄",
  deposit:
    "yacimiento lagerstatte gisement jazida giacimento месторождение месторождении 矿床 鉱床",
  reserves: "reservas vorrat erzvorrat riserve запасы запасов 储量 埋蔵量",
  drillhole:
    "sondajes sondaje bohrung bohrungen bohrloch forages sondagem furos перфорация скважина 钻孔",
  magnetic: "magnetico magnetica magnetische magnetisch magnetique magnetici магнитная 磁测 磁気",
  seismic:
    "sismico sismica sismicos seismisch seismische sismique sismiques sismici сейсмических сейсмика 地震波 震",
  earthquake:
    "terremoto terremotos erdbeben seisme seismes tremblement sismo землетрясение землетрясений 地震",
  gravity: "gravedad schwere schwerkraft gravimetrique gravite gravidade gravita гравитация 重力",
  subsurface: "subsuelo untergrund subsol subsolo sottosuolo ondergrond недра 地下",
  volcano: "volcan vulkan vulcao vulcano вулкан 火山",
  layers: "capas schichten couches camadas strati слои 地层 地層",
  mesh: "malla malhas malha netz gitter maillage maglia сетка 网格 メッシュ",
  model: "modelo modell modele modello модель модели 模型 モデル",
  render: "renderizar rendern rendu renderizzare рендер 渲染 レンダリング",
  texture: "textura texturas textur texturen texturas текстура 纹理 テクスチャ",
  scene: "escena szene scena cena сцена 场景 シーン",
  threed: "tridimensional dreidimensional 三维 三次元 立体",
  terrain: "terreno gelande 地形",
  train:
    "entrenar entrena trainieren trainiere anlernen entrainer treinar addestrare trainen обучить обучение 训练 訓練 学習させ",
  learn: "aprender lernen apprendre imparare leren учить 学习 学習",
  network: "red rede reseau netzwerk rete сеть нейросеть нейронную 网络 ネットワーク",
  neural: "neuronal neuronale neuronales neurones neurale нейронная 神经 ニューラル",
  dataset: "datensatz 数据集 データセット",
  epochs: "epocas epochen epoques epoche эпох 轮",
  predict:
    "predecir vorhersagen vorhersage predire prever predizer prevedere предсказать прогноз 预测 予測",
  inference: "inferencia inferenz inferenza инференс 推理 推論",
  classify: "clasificar klassifizieren classer classificar classificare классифицировать 分类 分類",
  recognise: "reconocer erkennen reconnaitre reconhecer riconoscere распознать 识别 認識",
  translate: "traducir ubersetze ubersetzen traduire traduzir tradurre перевести 翻译 翻訳",
  summarise: "resumir zusammenfassen resumer riassumere 摘要 要約",
  transcribe: "transcribir transkribieren transcrire transcrever trascrivere 转写 文字起こし",
  answer: "responder beantworten antworten repondre rispondere ответить 回答",
  trained:
    "entrenado trainiertes trainierten fertigen entraine treinado addestrato 训练好 学習済み",
  images:
    "imagenes imagen bilder bild bildern imagens imagem immagini immagine изображения 图片 图像 画像",
  text: "texto textos texte testi testo текст 文本 テキスト",
  compile: "compilar kompilieren compiler compilare скомпилировать 编译 コンパイル",
  tests: "pruebas prueba testlauf testes essais тесты 测试 テスト",
  backup:
    "respaldo seguridad sichern sicherung sauvegarder sauvegarde seguranca резервную резервное 备份 バックアップ",
  compress: "comprimir komprimieren compresser comprimere сжать 压缩 圧縮",
  files: "archivos dateien datei fichiers fichier arquivos ficheros файлы файлов 文件 ファイル",
  project: "proyecto projekt projet projeto progetto проект 项目 プロジェクト",
  convert: "convertir konvertieren umwandeln converter convertire конвертировать 转换 変換",
  database: "basededatos datenbank bancodedados 数据库 データベース",
  run: "ejecutar ausfuhren executer executar eseguire запустить 运行 実行",
  data: "datos daten donnees dados dati данные данных 数据 データ",
  process:
    "procesar verarbeiten auswerten traiter processar elaborare обработать обработка 处理 処理",
  find: "buscar finden trouver encontrar trovare найти 寻找 探す",
  estimate: "estimar schatzen estimer stimare оценить оценка 估算 推定",
  of: "de des du do della dei del der",
  the: "el la los las le les il das die den dem o os",
  with: "con mit avec com",
  and: "y und et e и",
  a: "un una ein eine einen eines une um uma uno",
};

const english = new Map<string, string>();
for (const [word, others] of Object.entries(seeds)) {
  for (const other of others.split(" ")) if (!english.has(other)) english.set(other, word);
}
const longestSeed = 6;

/** The word, its English counterpart, or what a run of unspaced script contains. */
export function pivotWords(word: string): string[] {
  const known = english.get(word);
  if (known !== undefined) return [known];
  if (!/^[\u3040-\u30ff\u3400-\u9fff]/.test(word)) return [word];
  const found: string[] = [];
  for (let at = 0; at < word.length;) {
    let length = Math.min(longestSeed, word.length - at);
    while (length > 0 && !english.has(word.slice(at, at + length))) length--;
    if (length > 0) found.push(english.get(word.slice(at, at + length)) ?? "");
    at += Math.max(1, length);
  }
  return found.length > 0 ? found : [word.slice(0, longestSeed)];
}
